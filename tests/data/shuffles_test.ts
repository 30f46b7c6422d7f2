import { describe, expect, test } from "bun:test";
import { Permutation } from "../../src/data/permutation.ts";
import { chiSquareTail, uniformity } from "../helpers/chi_square.ts";

/** A fixed seed, so that these tests are no toss of a coin. */
const SEED = 2026;
const LEAST_P = 1e-4;

function orderOf(length: number, epoch: number, version?: number): number[] {
  const permutation = new Permutation(length, SEED, epoch, version);
  return Array.from({ length }, (_, index) => permutation.at(index));
}

/** Which of the `length!` orders it is. */
function rankOf(order: readonly number[]): number {
  return order.reduce((rank, element, index) => {
    const smallerBehind = order.slice(index + 1).filter((other) => other < element).length;
    return rank * (order.length - index) + smallerBehind;
  }, 0);
}

function factorial(length: number): number {
  return length < 2 ? 1 : length * factorial(length - 1);
}

function countsOfOrders(length: number, epochs: number, version?: number): Float64Array {
  const counts = new Float64Array(factorial(length));
  for (let epoch = 0; epoch < epochs; epoch++) {
    const rank = rankOf(orderOf(length, epoch, version));
    counts[rank] = (counts[rank] ?? 0) + 1;
  }
  return counts;
}

/**
 * How often each element came to each place, and how often each pair followed one another; places and elements in at
 * most `bins`.
 */
function tables(length: number, epochs: number, bins: number): { places: Float64Array; pairs: Float64Array } {
  const places = new Float64Array(bins * bins);
  const pairs = new Float64Array(bins * bins);
  const binOf = (x: number) => Math.floor(x * bins / length);
  const count = (table: Float64Array, row: number, column: number) => {
    table[row * bins + column] = (table[row * bins + column] ?? 0) + 1;
  };
  for (let epoch = 0; epoch < epochs; epoch++) {
    let before: number | undefined;
    orderOf(length, epoch).forEach((element, place) => {
      count(places, binOf(place), binOf(element));
      if (before !== undefined) count(pairs, binOf(before), binOf(element));
      before = element;
    });
  }
  return { places, pairs };
}

describe("the p-value of χ²", () => {
  test("is what tables say", () => {
    const known = [[3.841, 1, 0.05], [18.307, 10, 0.05], [124.342, 100, 0.05], [149.449, 100, 0.001], [
      2,
      2,
      Math.exp(-1),
    ]];
    for (const [statistic = 0, degrees = 0, p = 0] of known) {
      expect(Math.abs(chiSquareTail(statistic, degrees) / p - 1)).toBeLessThan(1e-3);
    }
    expect(chiSquareTail(0, 5)).toBe(1);
  });
});

describe("a shuffle of up to eight examples", () => {
  for (const length of [2, 3, 4, 5, 6]) {
    test(`gives every order of ${length} equally often`, () => {
      expect(uniformity(countsOfOrders(length, 12_000))).toBeGreaterThan(LEAST_P);
    });
  }

  test("gives every order of 7 and of 8 equally often", () => {
    expect(uniformity(countsOfOrders(7, 5 * factorial(7)))).toBeGreaterThan(LEAST_P);
    expect(uniformity(countsOfOrders(8, 3 * factorial(8)))).toBeGreaterThan(LEAST_P);
  });

  test("is told from the orders of version 1, which are not uniform", () => {
    expect(uniformity(countsOfOrders(5, 120_000, 1))).toBeLessThan(1e-9);
  });
});

describe("a shuffle of more examples", () => {
  for (const [length, epochs] of [[9, 9000], [16, 8000], [100, 2000], [1000, 100]] as const) {
    test(`puts every one of ${length} elements at every place, and behind every other, equally often`, () => {
      // Of a thousand, ten neighbouring ones count together, which makes cells large enough.
      const bins = Math.min(length, 100);
      const { places, pairs } = tables(length, epochs, bins);
      const degrees = (bins - 1) ** 2;
      expect(uniformity(places, degrees)).toBeGreaterThan(LEAST_P);
      if (bins < length) return expect(uniformity(pairs, degrees)).toBeGreaterThan(LEAST_P);
      // Nothing follows itself.
      const others = pairs.filter((_, cell) => Math.floor(cell / bins) !== cell % bins);
      expect(uniformity(others, degrees)).toBeGreaterThan(LEAST_P);
      expect(pairs.reduce((sum, count) => sum + count, 0)).toBe(epochs * (length - 1));
      expect(others.reduce((sum, count) => sum + count, 0)).toBe(epochs * (length - 1));
    });
  }

  test("does so above the length up to which orders are drawn", () => {
    for (const length of [16_385, 50_000, 100_003]) {
      const { places, pairs } = tables(length, 4, 64);
      expect(uniformity(places, 63 ** 2)).toBeGreaterThan(LEAST_P);
      expect(uniformity(pairs)).toBeGreaterThan(LEAST_P);
    }
  });
});

describe("versions of the order", () => {
  test("the first one stays as it was", () => {
    expect(orderOf(10, 0, 1)).not.toEqual(orderOf(10, 0));
    const first = new Permutation(10, 1, 0, 1);
    expect(Array.from({ length: 10 }, (_, index) => first.at(index))).toEqual([9, 7, 6, 0, 2, 3, 1, 5, 4, 8]);
  });

  test("one that is not known is a RangeError", () => {
    for (const version of [0, 3, 1.5, NaN]) {
      expect(() => new Permutation(10, 1, 0, version)).toThrow(
        `An order has version 1 or 2, found ${version}`,
      );
    }
  });
});
