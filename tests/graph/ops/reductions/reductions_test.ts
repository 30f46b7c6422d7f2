import { describe, expect, test } from "bun:test";
import { gradients } from "../../../../src/graph/autodiff.ts";
import * as ops from "../../../../src/graph/ops.ts";
import type { Value } from "../../../../src/graph/value.ts";
import { gpuTest } from "../../../helpers/gpu.ts";
import { interpret } from "../../../helpers/interpreter.ts";
import { randomNumbers } from "../../../kernels/numbers.ts";
import { runValues } from "../../run_values.ts";

function f32(...shape: number[]): Value {
  return ops.input("x", "f32", shape);
}

function slopes(x: readonly number[], op: (a: Value) => Value): number[] {
  const a = f32(x.length);
  return Array.from(interpret(gradients(ops.sum(op(a)), [a]), { inputs: { x } })[0] ?? []);
}

describe("reductions", () => {
  test("OP-06 every reduction drops its axes, or keeps them with size 1", () => {
    for (const op of [ops.prod, ops.all, ops.any, ops.logSumExp, ops.variance, ops.norm]) {
      expect(op(f32(2, 3, 4)).shape).toEqual([]);
      expect(op(f32(2, 3, 4), { axes: [0, -1] }).shape).toEqual([3]);
      expect(op(f32(2, 3, 4), { axes: 1, keepDims: true }).shape).toEqual([2, 1, 4]);
    }
    expect(ops.argmin(f32(2, 3), { axis: 0 }).shape).toEqual([3]);
    expect(ops.cumsum(f32(2, 3)).shape).toEqual([2, 3]);
    expect(ops.topK(f32(2, 5), 3).values.shape).toEqual([2, 3]);
    expect(ops.topK(f32(2, 5), 3).indices.dtype).toBe("u32");
  });

  gpuTest(
    "OP-06 the norm of a long vector is exact to 1e-6, and its variance to its documented bound",
    async (gpu) => {
      const x = Array.from(randomNumbers(200_003, 8), (value) => Math.fround(value * 10 + 5));
      const a = f32(x.length);
      const made = [ops.norm(a), ops.norm(a, { order: 1 }), ops.variance(a), ops.mean(a)];
      const [norm = 0, first = 0, variance = 0, mean = 0] = (await runValues(gpu, made, { x })).map((
        tensor,
      ) => Number(tensor.toArray()[0]));
      const magnitudes = x.reduce((total, value) => total + Math.abs(value), 0);
      const exactNorm = Math.sqrt(x.reduce((total, value) => total + value * value, 0));
      const exactMean = x.reduce((total, value) => total + value, 0) / x.length;
      const exactVariance = x.reduce((total, value) => total + (value - exactMean) ** 2, 0) / (x.length - 1);
      expect(Math.abs(norm / exactNorm - 1)).toBeLessThan(1e-6);
      expect(Math.abs(first / magnitudes - 1)).toBeLessThan(1e-6);
      expect(Math.abs(mean - exactMean)).toBeLessThan(1e-6 * magnitudes / x.length);
      expect(Math.abs(variance - exactVariance)).toBeLessThan(
        1e-6 * exactVariance + (7.8e-7 * magnitudes / x.length) ** 2,
      );
    },
  );

  gpuTest("OP-06 NaN and infinities go through reductions as in PyTorch", async (gpu) => {
    const x = [1, NaN, 2, Infinity, -Infinity, -1];
    const a = f32(6);
    const half = (start: number) => ops.slice(a, { start, end: start + 2 });
    const made = [
      ops.prod(half(0)),
      ops.prod(half(3)),
      ops.logSumExp(half(0)),
      ops.logSumExp(half(2)),
      ops.logSumExp(ops.slice(a, { start: 4, end: 5 })),
      ops.logSumExp(half(4)),
      ops.norm(half(3)),
      ops.norm(half(0), { order: Infinity }),
      ops.variance(half(2)),
      ops.variance(ops.slice(a, { end: 1 })),
      ops.cast(ops.argmin(a), "f32"),
      ops.cast(ops.all(a), "f32"),
      ops.cast(ops.any(ops.mul(ops.slice(a, { end: 1 }), 0)), "f32"),
    ];
    const found = (await runValues(gpu, made, { x })).map((tensor) => Number(tensor.toArray()[0]));
    expect(found).toEqual([
      ...[NaN, -Infinity, NaN, Infinity, -Infinity, -1, Infinity, NaN, NaN, NaN, 1, 1, 0],
    ]);
  });

  gpuTest("OP-06 of nothing the product and all are 1, any is 0, norm is 0, variance is NaN", async (gpu) => {
    const a = f32(2, 0);
    const axes = { axes: 1 };
    const made = [
      ops.prod(a, axes),
      ops.norm(a, axes),
      ops.variance(a, axes),
      ops.cast(ops.all(a, axes), "f32"),
      ops.cast(ops.any(a, axes), "f32"),
    ];
    const found = (await runValues(gpu, made, { x: [] })).map((tensor) =>
      Array.from(tensor.toArray(), Number)
    );
    expect(found).toEqual([[1, 1], [0, 0], [NaN, NaN], [1, 1], [0, 0]]);
    expect(() => ops.logSumExp(a, axes)).toThrow(
      "logSumExp: shape [2, 0] has no element on an axis that is reduced",
    );
  });

  gpuTest(
    "OP-06 sort gives values and where they were, topK the first of equals, NaN as largest",
    async (gpu) => {
      const x = [3, 1, NaN, 3, -Infinity, 1];
      const a = f32(6);
      const [sorted, most, least] = [ops.sort(a), ops.topK(a, 3), ops.topK(a, 2, { largest: false })];
      const made = [sorted, most, least].flatMap(({ values, indices }) => [values, indices]);
      const found = (await runValues(gpu, made, { x })).map((tensor) => Array.from(tensor.toArray(), Number));
      expect(found).toEqual([
        [-Infinity, 1, 1, 3, 3, NaN],
        [4, 1, 5, 0, 3, 2],
        [NaN, 3, 3],
        [2, 0, 3],
        [-Infinity, 1],
        [4, 1],
      ]);
    },
  );
});

describe("gradients of reductions where there are two to choose from", () => {
  test("OP-06 the product of numbers with one 0 has a gradient there alone, with two nowhere", () => {
    expect(slopes([2, 3, 4], (a) => ops.prod(a))).toEqual([12, 8, 6]);
    expect(slopes([2, 0, 4], (a) => ops.prod(a))).toEqual([0, 8, 0]);
    expect(slopes([2, 0, 0], (a) => ops.prod(a))).toEqual([0, 0, 0]);
  });

  test("OP-06 a norm of 0 has the gradient 0, as in PyTorch", () => {
    expect(slopes([0, 0], (a) => ops.norm(a))).toEqual([0, 0]);
    expect(slopes([6, 8], (a) => ops.norm(a)).map((x) => x.toFixed(9))).toEqual([
      "0.600000000",
      "0.800000000",
    ]);
  });

  test("OP-06 ties of max and min share evenly, over axes apart too", () => {
    const x = f32(2, 2, 2);
    const gradient = gradients(ops.sum(ops.max(x, { axes: [0, 2] })), [x]);
    expect(interpret(gradient, { inputs: { x: [5, 1, 2, 7, 5, 5, 7, 0] } })).toEqual([
      Float64Array.of(1 / 3, 0, 0, 1 / 2, 1 / 3, 1 / 3, 1 / 2, 0),
    ]);
  });

  test("OP-06 the gradient of topK goes to what was chosen", () => {
    expect(slopes([1, 5, 3, 4], (a) => ops.topK(a, 2).values)).toEqual([0, 1, 0, 1]);
  });
});

describe("mistakes with reductions", () => {
  test("OP-06 more elements than there are, and an order below 1, are refused", () => {
    expect(() => ops.topK(f32(2, 3), 4)).toThrow(
      "topK: k is a whole number up to the size of axis 1 of shape [2, 3], not 4",
    );
    expect(() => ops.norm(f32(2), { order: 0 })).toThrow("norm: the order is a number from 1 on, not 0");
    expect(() => ops.argmin(f32(2, 0))).toThrow("argmin: axis -1 of shape [2, 0] has no element");
    expect(() => ops.sort(f32(2), { axis: 1 })).toThrow("sort");
  });
});
