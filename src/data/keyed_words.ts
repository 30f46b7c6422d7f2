import { splitSeed } from "../kernels/step_scalars.ts";
import type { Seed } from "./seed.ts";

/**
 * Random 32-bit words as a pure function of a seed and three words, which the kernels' generator makes on the host:
 * Philox 4x32-10 (Salmon, Moraes, Dror and Shaw, 2011). The same in every runtime.
 */
export class KeyedWords {
  readonly #key: readonly [low: number, high: number];
  readonly #counter: readonly [number, number, number];
  readonly #words = new Uint32Array(4);
  #blocks = 0;
  #used = 4;

  constructor(seed: Seed, counter: readonly [number, number, number]) {
    this.#key = splitSeed(seed);
    this.#counter = counter;
  }

  /** The next word. There are 2^34 of them. */
  next(): number {
    if (this.#used === 4) {
      philox(this.#words, this.#blocks, this.#counter, this.#key);
      this.#blocks += 1;
      this.#used = 0;
    }
    const word = this.#words[this.#used] ?? 0;
    this.#used += 1;
    return word;
  }

  /** An integer from 0 to `bound - 1`, each as likely as any other; `bound` is from 1 to 2^32. */
  below(bound: number): number {
    // Words above the last whole multiple would make the first integers likelier.
    const limit = 2 ** 32 - 2 ** 32 % bound;
    let word = this.next();
    while (word >= limit) word = this.next();
    return word % bound;
  }
}

/** A seed for a part of what `seed` is for, such as an epoch, so that the parts have nothing in common. */
export function partOfSeed(seed: Seed, counter: readonly [number, number, number]): bigint {
  const words = new KeyedWords(seed, counter);
  return (BigInt(words.next()) << 32n) | BigInt(words.next());
}

/**
 * Philox 4x32-10 of `block` and `counter`, into `words`. No arrays and no tuples in between: an order takes thousands
 * of blocks.
 */
function philox(
  words: Uint32Array,
  block: number,
  counter: readonly [number, number, number],
  key: readonly [number, number],
): void {
  let a = block;
  let [b, c, d] = counter;
  let [low, high] = key;
  for (let round = 0; round < 10; round++) {
    const second = (highWord(a, 0xd251_1f53) ^ d ^ high) >>> 0;
    const first = (highWord(c, 0xcd9e_8d57) ^ b ^ low) >>> 0;
    d = Math.imul(a, 0xd251_1f53) >>> 0;
    b = Math.imul(c, 0xcd9e_8d57) >>> 0;
    a = first;
    c = second;
    low = low + 0x9e37_79b9 >>> 0;
    high = high + 0xbb67_ae85 >>> 0;
  }
  words[0] = a;
  words[1] = b;
  words[2] = c;
  words[3] = d;
}

/** The upper half of the 64 bits of a product, in steps that a double holds exactly. */
function highWord(a: number, b: number): number {
  const aHigh = a >>> 16;
  const bHigh = b >>> 16;
  const aLow = a & 0xffff;
  const bLow = b & 0xffff;
  const first = aHigh * bLow + (aLow * bLow >>> 16);
  const second = aLow * bHigh + (first & 0xffff);
  return aHigh * bHigh + (first >>> 16) + (second >>> 16);
}
