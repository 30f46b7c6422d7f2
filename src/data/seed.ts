/** Seed of a run: an integer from 0 to 2^64 - 1. A `number` has to be a safe integer. */
export type Seed = number | bigint;

/** `seed` unchanged. Throws a `TypeError` or `RangeError` that says what a seed is. */
export function checkedSeed(seed: Seed): Seed {
  if (typeof seed !== "number" && typeof seed !== "bigint") {
    throw new TypeError(`A seed is a number or a bigint, found ${seed === null ? "null" : typeof seed}`);
  }
  const isInRange = typeof seed === "number"
    ? Number.isSafeInteger(seed) && seed >= 0
    : seed >= 0n && seed < 1n << 64n;
  if (!isInRange) throw new RangeError(`A seed is an integer from 0 to 2^64 - 1, found ${seed}`);
  return seed;
}
