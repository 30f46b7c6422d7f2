import { expect } from "bun:test";

/** Element counts around the sizes of workgroups, vectors and grids. */
export const SIZES: readonly number[] = [0, 1, 63, 64, 65, 257, 65_537];

/** `count` numbers in [-1, 1), the same for each seed. */
export function randomNumbers(count: number, seed: number): Float32Array {
  let state = seed * 2_654_435_761 >>> 0 || 1;
  return Float32Array.from({ length: count }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 8) / 2 ** 23 - 1;
  });
}

/** `count` whole numbers from -8 to 7, whose products and sums are exact in f32. */
export function smallIntegers(count: number, seed: number): Float32Array {
  return randomNumbers(count, seed).map((x) => Math.floor(x * 8));
}

/** How far a number may be from what it should be: `absolute + relative * |expected|`. */
export interface Tolerance {
  readonly absolute?: number;
  readonly relative?: number;
}

/** Fails unless every element is within the tolerance; NaN and infinities have to be where they are expected. */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: Tolerance = {},
): void {
  const { absolute = 0, relative = 0 } = tolerance;
  expect(actual.length).toBe(expected.length);
  const wrong = firstIndex(expected.length, (index) => {
    const [is, should] = [actual[index] ?? NaN, expected[index] ?? NaN];
    if (Number.isNaN(should) || !Number.isFinite(should)) return !Object.is(is, should);
    return !(Math.abs(is - should) <= absolute + relative * Math.abs(should));
  });
  if (wrong >= 0) throw new Error(`Element ${wrong} is ${actual[wrong]}, and should be ${expected[wrong]}`);
}

/** Fails unless every element is the same number; NaN equals NaN, and 0 equals -0. */
export function expectSame(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  expectClose(actual, expected);
}

function firstIndex(count: number, isWrong: (index: number) => boolean): number {
  for (let index = 0; index < count; index++) if (isWrong(index)) return index;
  return -1;
}
