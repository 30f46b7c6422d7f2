import { throwIfAborted } from "../base/abort.ts";
import { CairnError } from "../base/errors.ts";
import { KeyedWords } from "../data/keyed_words.ts";
import { NO_TOKEN } from "./draw_token.ts";
import type { GenerateSettings } from "./generate_options.ts";
import type { TokenSource } from "./token_source.ts";

/** A token that a text goes on with. */
export interface GeneratedToken {
  /** Which of the prompts it continues, from 0. */
  readonly prompt: number;
  /** The token that follows what the text has so far. */
  readonly token: number;
}

/** What a model can be given. */
export interface TextLimits {
  /** How many positions at most. */
  readonly positions: number;
  /** What every token is below. */
  readonly below: number;
}

/** Random numbers of texts are used for nothing else. */
const TEXT_WORDS = 0x7e47;

/** A text that is being made. */
interface Text {
  readonly tokens: number[];
  readonly promptLength: number;
  hasEnded: boolean;
}

/**
 * What the texts that begin with `prompts` go on with, as `source` makes it. All are at the same place: one with a
 * shorter prompt is on its way while others are still being read.
 */
export async function* writeTexts(
  prompts: readonly (readonly number[])[],
  source: TokenSource,
  { positions, below }: TextLimits,
  settings: GenerateSettings,
): AsyncGenerator<GeneratedToken, void> {
  const { maxTokens, signal, whenFull, seed } = settings;
  const texts = prompts.map((prompt): Text => (
    { tokens: [...prompt], promptLength: prompt.length, hasEnded: maxTokens === 0 }
  ));
  const rows = texts.map(({ tokens }) => tokens);
  // A function of the seed, the prompt and the token's place: whatever else is computed beside it.
  const shareOf = (row: number, place: number): number => {
    const number = place - (prompts[row]?.length ?? 0);
    return number < 0 ? 0 : (new KeyedWords(seed, [TEXT_WORDS, row, number]).next() >>> 8) / 2 ** 24;
  };
  let begin = 0;
  let end = Math.min(...prompts.map(({ length }) => length));
  while (texts.some(({ hasEnded }) => !hasEnded)) {
    if (end - begin > positions) {
      if (whenFull === "end") return;
      begin = end - Math.max(1, Math.floor(positions / 2));
    }
    throwIfAborted(signal);
    const left = texts.map((text) => text.hasEnded ? 0 : text.promptLength + maxTokens - end);
    const most = Math.min(positions - (end - begin) + 1, Math.max(...left));
    const made = await source.next({ rows, begin, end, most, numbers: settings, shareOf });
    const count = made[0]?.length ?? 0;
    for (let place = end; place < end + count; place++) {
      for (const [prompt, text] of texts.entries()) {
        if (text.hasEnded || text.tokens.length !== place) continue;
        throwIfAborted(signal);
        const token = tokenOf(made[prompt]?.[place - end], below);
        add(text, token, settings);
        if (text.tokens.length > place) yield { prompt, token };
      }
    }
    end += count;
  }
}

/** `token` behind the text, unless it ends it. */
function add(text: Text, token: number, { stop, maxTokens }: GenerateSettings): void {
  text.hasEnded = stop.has(token);
  if (text.hasEnded) return;
  text.tokens.push(token);
  text.hasEnded = text.tokens.length - text.promptLength === maxTokens;
}

function tokenOf(token: number | undefined, below: number): number {
  if (token === undefined || token === NO_TOKEN) {
    throw new CairnError(
      "non_finite",
      "Cannot go on with the text: a score of the next token is NaN or Infinity, or all are -Infinity; the weights of the " +
        "model may not be finite, or its training may have diverged",
    );
  }
  if (token < below) return token;
  throw new RangeError(
    `The model made the token ${token}, and takes tokens below ${below}; it has more outputs than its embedding has ` +
      "rows",
  );
}
