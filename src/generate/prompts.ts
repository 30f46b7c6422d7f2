import { kindOf } from "../base/options/kind_of.ts";
import type { GeneratedToken } from "./write_texts.ts";

/** The tokens of a prompt. @throws TypeError for what is no list. */
export function tokensOf(prompt: ArrayLike<number>): number[] {
  if (typeof prompt === "object" && prompt !== null && typeof prompt.length === "number") {
    return Array.from(prompt);
  }
  throw new TypeError(`A prompt is a list of token numbers, found ${kindOf(prompt)}; encode the text first`);
}

/** The tokens of the only text that is made. */
export async function* tokensOfOne(texts: AsyncIterable<GeneratedToken>): AsyncGenerator<number, void> {
  for await (const { token } of texts) yield token;
}
