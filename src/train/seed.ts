/** Seed of a run: an integer from 0 to 2^64 - 1. A `number` has to be a safe integer. */
export type Seed = number | bigint;

/** `seed` unchanged, or a `TypeError`/`RangeError` that says what a seed is. */
export function checkedSeed(seed: Seed): Seed {
  if (typeof seed !== "number" && typeof seed !== "bigint") {
    throw new TypeError(`A seed is a number or a bigint, found ${typeof seed}`);
  }
  const isInRange = typeof seed === "number"
    ? Number.isSafeInteger(seed) && seed >= 0
    : seed >= 0n && seed < 1n << 64n;
  if (!isInRange) throw new RangeError(`A seed is an integer from 0 to 2^64 - 1, found ${seed}`);
  return seed;
}

/** The low and the high 32 bits of `seed`. */
export function seedWords(seed: Seed): readonly [low: number, high: number] {
  const wide = BigInt(checkedSeed(seed));
  return [Number(wide & 0xffff_ffffn), Number(wide >> 32n)];
}
