import { Predictor } from "@cairn-ml/cairn";
import { characterModel } from "./model.ts";

/** A passage to be written. */
export interface Passage {
  /** Path of the checkpoint with the weights. */
  readonly path: string;
  readonly alphabet: readonly string[];
  /** What it begins with, as places in the alphabet. */
  readonly beginning: ArrayLike<number>;
  /** Characters that are written. */
  readonly length: number;
  readonly seed: number;
}

/** What the model writes, character by character, each as its place in the alphabet. */
export async function* write({ path, alphabet, beginning, length, seed }: Passage): AsyncGenerator<number> {
  const predictor = await Predictor.open(characterModel(alphabet.length), path);
  try {
    yield* predictor.generate(beginning, { maxTokens: length, temperature: 0.8, seed });
  } finally {
    await predictor.close();
  }
}
