import type { OrderKey } from "./batch_source.ts";
import { KeyedWords, partOfSeed } from "./keyed_words.ts";

/** Keeps the words of examples apart from those of other uses of the same seed: "exam". */
const EXAMPLES = 0x6578_616d;

/**
 * Random numbers for one example, which follow from the seed, the epoch and the number of the example alone. So an
 * augmentation is the same whatever the size of the batch, how much is read ahead, and where a run was resumed.
 */
export class ExampleRandom {
  readonly #words: KeyedWords;

  /**
   * For one example of one epoch.
   *
   * @param key The seed of the order.
   * @param epoch From 0.
   * @param index The number of the example.
   */
  constructor({ seed }: OrderKey, epoch: number, index: number) {
    const epochSeed = partOfSeed(seed, [epoch >>> 0, Math.floor(epoch / 2 ** 32), EXAMPLES]);
    this.#words = new KeyedWords(epochSeed, [index >>> 0, Math.floor(index / 2 ** 32), EXAMPLES]);
  }

  /** From `least` up to and without `end`, in steps of 2^-32 of that. Default: from 0 to 1. */
  uniform(least: number = 0, end: number = 1): number {
    return least + (end - least) * (this.#words.next() / 2 ** 32);
  }

  /** An integer from 0 to `bound - 1`, each as likely as any other; `bound` is from 1 to 2^32. */
  below(bound: number): number {
    if (!Number.isInteger(bound) || bound < 1 || bound > 2 ** 32) {
      throw new RangeError(`below() takes an integer from 1 to 2^32, found ${bound}`);
    }
    return this.#words.below(bound);
  }

  /** Whether something happens that has `probability`. */
  chance(probability: number): boolean {
    return this.uniform() < probability;
  }

  /** Normally distributed (Box and Muller, 1958). */
  normal(mean: number = 0, deviation: number = 1): number {
    // From (0, 1], of which the logarithm is finite.
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return mean + deviation * radius * Math.cos(2 * Math.PI * this.uniform());
  }
}
