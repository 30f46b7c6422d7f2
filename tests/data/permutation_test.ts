import { describe, expect, test } from "bun:test";
import { Permutation } from "../../src/data/permutation.ts";

function orderOf(length: number, seed: number | bigint, epoch: number): number[] {
  const permutation = new Permutation(length, seed, epoch);
  return Array.from({ length }, (_, index) => permutation.at(index));
}

describe("Permutation", () => {
  test("visits every index exactly once, at sizes around powers of two and four", () => {
    for (const length of [0, 1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 257, 1000, 4095, 4096, 4097]) {
      const sorted = orderOf(length, 7, 3).sort((a, b) => a - b);
      expect(sorted).toEqual(Array.from({ length }, (_, index) => index));
    }
  });

  test("is the same in every runtime and every version", () => {
    expect(orderOf(10, 1, 0)).toEqual(GOLDEN.first);
    expect(orderOf(10, 1, 1)).toEqual(GOLDEN.nextEpoch);
    expect(orderOf(10, 2n ** 63n, 0)).toEqual(GOLDEN.bigSeed);
  });

  test("a number and the bigint of the same value are one seed", () => {
    expect(orderOf(100, 12345678901234, 5)).toEqual(orderOf(100, 12345678901234n, 5));
  });

  test("changes with the seed, with its high half and with the epoch", () => {
    const orders = [
      orderOf(100, 1, 0),
      orderOf(100, 2, 0),
      orderOf(100, 1n + (1n << 32n), 0),
      orderOf(100, 1, 1),
      orderOf(100, 1, 2 ** 32),
      orderOf(100, 0, 0),
    ].map(String);
    expect(new Set(orders).size).toBe(orders.length);
  });

  test("puts every element at every place about equally often", () => {
    const length = 12;
    const epochs = 12_000;
    const counts = new Float64Array(length * length);
    for (let epoch = 0; epoch < epochs; epoch++) {
      orderOf(length, 99, epoch).forEach((value, index) =>
        counts[index * length + value] = (counts[index * length + value] ?? 0) + 1
      );
    }
    const expected = epochs / length;
    const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    // 121 degrees of freedom: mean 121, standard deviation 15.6; a fixed seed, so that this is no coin toss.
    expect(chiSquare).toBeLessThan(121 + 5 * 15.6);
  });

  test("neighbours do not stay neighbours", () => {
    const order = orderOf(10_000, 3, 0);
    const kept =
      order.filter((value, index) => index > 0 && Math.abs(value - (order[index - 1] ?? 0)) === 1).length;
    expect(kept).toBeLessThan(12);
  });

  test("reaches any position of a huge range without visiting the others", () => {
    const length = 2 ** 40 + 12_345;
    const permutation = new Permutation(length, 1, 0);
    const values = [0, 1, length - 1].map((index) => permutation.at(index));
    for (const value of values) {
      expect(Number.isSafeInteger(value) && value >= 0 && value < length).toBe(true);
    }
    expect(new Set(values).size).toBe(3);
  });

  test("refuses an index outside, and an invalid length, epoch or seed", () => {
    const permutation = new Permutation(3, 0, 0);
    for (const index of [-1, 3, 0.5, NaN]) {
      expect(() => permutation.at(index)).toThrow(`Index ${index} is not in a permutation of 3 elements`);
    }
    expect(() => new Permutation(-1, 0, 0)).toThrow(RangeError);
    expect(() => new Permutation(3, 0, 1.5)).toThrow("An epoch is an integer from 0, found 1.5");
    expect(() => new Permutation(3, -1, 0)).toThrow("A seed is an integer from 0 to 2^64 - 1, found -1");
    expect(() => new Permutation(3, 1n << 64n, 0)).toThrow(RangeError);
    expect(() => new Permutation(3, "1" as unknown as number, 0)).toThrow(
      "A seed is a number or a bigint, found string",
    );
  });
});

const GOLDEN = {
  first: [6, 7, 0, 9, 4, 5, 8, 3, 1, 2],
  nextEpoch: [2, 1, 5, 4, 3, 8, 7, 0, 9, 6],
  bigSeed: [1, 8, 2, 3, 5, 4, 7, 6, 9, 0],
};
