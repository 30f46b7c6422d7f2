import { expect, test } from "bun:test";
import { binsOf } from "../../src/page/app/numbers/histogram_bins.ts";
import { HistogramSum, StatisticsSum } from "../../src/tensor/tensor_statistics.ts";

function statisticsOf(...pieces: (ArrayLike<number> | ArrayLike<bigint>)[]) {
  const sum = new StatisticsSum();
  for (const piece of pieces) sum.add(piece);
  return sum.result;
}

test("statistics over pieces are those of the whole, with what is not finite counted apart", () => {
  const found = statisticsOf([1, 2, NaN], [Infinity, 0, -0, 5], [-Infinity]);
  expect(found).toMatchObject({ count: 8, nan: 1, infinite: 2, zeros: 2, min: 0, max: 5 });
  expect(found.mean).toBeCloseTo(1.6, 12);
  expect(found.deviation).toBeCloseTo(Math.sqrt(3.44), 12);
});

test("a small deviation beside a large mean is not lost", () => {
  const values = Float64Array.from({ length: 10_000 }, (_, i) => 1e9 + (i % 2));
  expect(statisticsOf(values).deviation).toBeCloseTo(0.5, 6);
});

test("without a finite element there is no range, and bigints are numbers", () => {
  const { min, max, mean, deviation } = statisticsOf([NaN, Infinity]);
  expect([min, max, mean, deviation]).toEqual([NaN, NaN, NaN, NaN]);
  expect(statisticsOf(BigInt64Array.of(-3n, 3n))).toMatchObject({ min: -3, max: 3, mean: 0 });
});

test("a histogram has every finite element in one bin, the greatest in the last", () => {
  const values = Float32Array.from({ length: 601 }, (_, i) => i / 100);
  const sum = new HistogramSum({ min: 0, max: 6 }, binsOf({ min: 0, max: 6 }, false));
  sum.add(values);
  sum.add([NaN, Infinity]);
  const { counts } = sum.result;
  expect(counts.length).toBe(60);
  expect(counts.reduce((total, count) => total + count, 0)).toBe(601);
  expect(counts.at(-1)).toBe(11);
});

test("integers have no more bins than there are values, one value has one, and none has none", () => {
  const bins = (min: number, max: number, isInteger: boolean): number =>
    new HistogramSum({ min, max }, binsOf({ min, max }, isInteger)).result.counts.length;
  expect([bins(0, 1, true), bins(-5, 4, true), bins(0, 1e6, true), bins(2, 2, false), bins(NaN, NaN, false)])
    .toEqual([2, 10, 60, 1, 0]);
});

test("a range as wide as floats are does not overflow", () => {
  const { MAX_VALUE } = Number;
  const range = { min: -MAX_VALUE, max: MAX_VALUE };
  const sum = new HistogramSum(range, binsOf(range, false));
  sum.add([-MAX_VALUE, 0, MAX_VALUE]);
  const { counts } = sum.result;
  expect([counts[0], counts[30], counts[59]]).toEqual([1, 1, 1]);
});
