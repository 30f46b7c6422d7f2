import { splitSeed } from "../kernels/step_scalars.ts";
import type { Seed } from "./seed.ts";

const ROUNDS = 8;

/**
 * An order that is computed and not stored: a balanced Feistel network over the next power of four, with cycle
 * walking. A value that falls outside is put through again until it falls inside, which keeps it a bijection (Black
 * and Rogaway, "Ciphers with arbitrary finite domains"). Only 32-bit integer arithmetic is used, so that every
 * runtime gives the same order.
 *
 * Networks of so few keys reach a small part of all orders. That shows where a few elements are shuffled.
 */
export class FeistelOrder {
  readonly #length: number;
  readonly #halfBits: number;
  readonly #keys: Uint32Array;

  constructor(length: number, seed: Seed, epoch: number) {
    this.#length = length;
    this.#halfBits = halfBitsFor(length);
    this.#keys = roundKeys(seed, epoch);
  }

  at(index: number): number {
    let value = index;
    do value = this.#shuffleOnce(value); while (value >= this.#length);
    return value;
  }

  #shuffleOnce(value: number): number {
    const width = 2 ** this.#halfBits;
    const mask = width - 1;
    let left = Math.floor(value / width);
    let right = value % width;
    for (const key of this.#keys) {
      const mixed = (left ^ (mix(right ^ key) & mask)) >>> 0;
      left = right;
      right = mixed;
    }
    return left * width + right;
  }
}

/** Half the bits of the smallest power of four that holds `length` values, and one at least. */
function halfBitsFor(length: number): number {
  let halfBits = 1;
  while (4 ** halfBits < length) halfBits++;
  return halfBits;
}

/** One 32-bit key a round, each of which depends on every bit of the seed and of the epoch. */
function roundKeys(seed: Seed, epoch: number): Uint32Array {
  const [seedLow, seedHigh] = splitSeed(seed);
  const words = [seedLow, seedHigh, epoch >>> 0, Math.floor(epoch / 2 ** 32)];
  let state = 0x9e37_79b9;
  for (const word of words) state = mix(state ^ word) + 0x9e37_79b9 >>> 0;
  const keys = new Uint32Array(ROUNDS);
  for (let round = 0; round < ROUNDS; round++) {
    state = state + 0x9e37_79b9 >>> 0;
    keys[round] = mix(state);
  }
  return keys;
}

/** The finaliser of MurmurHash3: every input bit reaches every output bit. */
function mix(word: number): number {
  let h = word >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
