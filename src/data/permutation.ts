import { drawOrder } from "./drawn_order.ts";
import { FeistelOrder } from "./feistel_order.ts";
import { checkedSeed, type Seed } from "./seed.ts";

/** Half of it fits the 32-bit integer operations of JavaScript; 2^52 is below the safe integers. */
const MAX_LENGTH = 2 ** 52;

/** Up to here an order is drawn at once, in a few milliseconds and 64 KiB. */
const MAX_DRAWN_LENGTH = 16_384;

/** The version of the orders that new runs have. */
export const ORDER_VERSION = 2;

/**
 * Every version there was. 1: a Feistel network of any length, which does not give all orders of a few elements
 * equally often. 2: up to 16,384 elements all orders are equally likely.
 */
export const ORDER_VERSIONS: readonly number[] = [1, ORDER_VERSION];

/**
 * A permutation of the integers `0 … length - 1` that is a pure function of `(length, seed, epoch, version)`, the
 * same in every runtime.
 *
 * Up to 16,384 elements all orders are equally likely, and the first question draws the order. Of more elements
 * nothing is stored, and any position is reached in O(1).
 */
export class Permutation {
  readonly length: number;
  readonly #orderAt: (index: number) => number;

  /**
   * Throws a `RangeError` unless `length` and `epoch` are integers from 0, `length` is at most 2^52 and `version` is
   * one of {@link ORDER_VERSIONS}.
   */
  constructor(length: number, seed: Seed, epoch: number, version: number = ORDER_VERSION) {
    if (!Number.isSafeInteger(length) || length < 0 || length > MAX_LENGTH) {
      throw new RangeError(`A permutation has from 0 to 2^52 elements, found ${length}`);
    }
    if (!Number.isSafeInteger(epoch) || epoch < 0) {
      throw new RangeError(`An epoch is an integer from 0, found ${epoch}`);
    }
    if (!ORDER_VERSIONS.includes(version)) {
      throw new RangeError(`An order has version ${ORDER_VERSIONS.join(" or ")}, found ${version}`);
    }
    this.length = length;
    const isDrawn = version >= 2 && length <= MAX_DRAWN_LENGTH;
    this.#orderAt = isDrawn
      ? drawn(length, checkedSeed(seed), epoch)
      : computed(length, checkedSeed(seed), epoch);
  }

  /** Where `index` goes: an integer below {@link Permutation.length}, different for each index. */
  at(index: number): number {
    if (!Number.isInteger(index) || index < 0 || index >= this.length) {
      throw new RangeError(`Index ${index} is not in a permutation of ${this.length} elements`);
    }
    return this.#orderAt(index);
  }
}

function drawn(length: number, seed: Seed, epoch: number): (index: number) => number {
  let order: Uint32Array | undefined;
  return (index) => {
    order ??= drawOrder(length, seed, epoch);
    return order[index] ?? NaN;
  };
}

function computed(length: number, seed: Seed, epoch: number): (index: number) => number {
  const order = new FeistelOrder(length, seed, epoch);
  return (index) => order.at(index);
}
