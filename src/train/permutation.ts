import { splitSeed } from "../kernels/step_scalars.ts";
import { checkedSeed, type Seed } from "./seed.ts";

const ROUNDS = 8;
/**
 * Each half of the Feistel network fits the 32-bit integer operations of JavaScript; 2^52 is below the safe
 * integers.
 */
const MAX_LENGTH = 2 ** 52;

/**
 * A permutation of the integers `0 … length - 1` that is a pure function of `(length, seed, epoch)`.
 *
 * It is a balanced Feistel network over the next power of four, with cycle walking: a value that falls
 * outside is put through again until it falls inside, which keeps it a bijection (Black and Rogaway, "Ciphers
 * with arbitrary finite domains"). Nothing is stored, so that a position in the middle of an epoch is reached
 * in O(1), and only 32-bit integer arithmetic is used, so that every runtime gives the same order.
 */
export class Permutation {
  readonly length: number;
  readonly #halfBits: number;
  readonly #keys: Uint32Array;

  /** Throws a `RangeError` unless `length` and `epoch` are integers from 0, and `length` is at most 2^52. */
  constructor(length: number, seed: Seed, epoch: number) {
    if (!Number.isSafeInteger(length) || length < 0 || length > MAX_LENGTH) {
      throw new RangeError(`A permutation has from 0 to 2^52 elements, found ${length}`);
    }
    if (!Number.isSafeInteger(epoch) || epoch < 0) {
      throw new RangeError(`An epoch is an integer from 0, found ${epoch}`);
    }
    this.length = length;
    this.#halfBits = halfBitsFor(length);
    this.#keys = roundKeys(seed, epoch);
  }

  /** Where `index` goes: an integer below {@link Permutation.length}, different for each index. */
  at(index: number): number {
    if (!Number.isInteger(index) || index < 0 || index >= this.length) {
      throw new RangeError(`Index ${index} is not in a permutation of ${this.length} elements`);
    }
    let value = index;
    do value = this.#shuffleOnce(value); while (value >= this.length);
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
  const [seedLow, seedHigh] = splitSeed(checkedSeed(seed));
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
