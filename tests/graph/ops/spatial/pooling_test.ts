import { describe, expect, test } from "bun:test";
import { gradients } from "../../../../src/graph/autodiff.ts";
import { mul } from "../../../../src/graph/ops/arithmetic.ts";
import { input } from "../../../../src/graph/ops/sources.ts";
import {
  avgPool1d,
  avgPool2d,
  maxPool1d,
  maxPool2d,
  type MaxPoolOptions,
} from "../../../../src/graph/ops/spatial/pooling.ts";
import { upsample } from "../../../../src/graph/ops/spatial/upsample.ts";
import { sum } from "../../../../src/graph/ops/sum.ts";
import type { Value } from "../../../../src/graph/value.ts";
import { elementCount } from "../../../../src/tensor/shape.ts";
import { gpuTest } from "../../../helpers/gpu.ts";
import { interpret } from "../../../helpers/interpreter.ts";
import { runValues } from "../../run_values.ts";

function f32(...shape: number[]): Value {
  return input("x", "f32", shape);
}

describe("shapes of pooling", () => {
  test("OP-04 windows stand side by side unless a stride says otherwise", () => {
    expect(maxPool2d(f32(2, 3, 28, 31), 2).shape).toEqual([2, 3, 14, 15]);
    expect(maxPool2d(f32(2, 3, 28, 31), [3, 2], { stride: [2, 1] }).shape).toEqual([2, 3, 13, 30]);
    expect(avgPool2d(f32(2, 3, 7, 7), 7).shape).toEqual([2, 3, 1, 1]);
    expect(maxPool1d(f32(2, 3, 9), 3, { padding: 1 }).shape).toEqual([2, 3, 3]);
    expect(avgPool1d(f32(2, 3, 9), 2).shape).toEqual([2, 3, 4]);
    expect(upsample(f32(2, 3, 4, 5), { scale: [2, 3] }).shape).toEqual([2, 3, 8, 15]);
  });

  test("OP-04 a window that is cut counts only when asked for, and only where it begins in the input", () => {
    expect(maxPool2d(f32(1, 1, 5, 5), 2, { ceilMode: true }).shape).toEqual([1, 1, 3, 3]);
    expect(maxPool2d(f32(1, 1, 4, 4), 1, { stride: 2, ceilMode: true }).shape).toEqual([1, 1, 2, 2]);
    expect(avgPool2d(f32(1, 1, 3, 3), 2, { padding: 1, stride: 3, ceilMode: true }).shape).toEqual([
      1,
      1,
      2,
      2,
    ]);
  });

  test("OP-04 windows without an element are refused", () => {
    expect(() => maxPool2d(f32(1, 1, 4, 4), 2, { padding: 2 })).toThrow(
      "maxPool2d: padding is at most half of the window, found padding 2 with a window of 2",
    );
    expect(() => maxPool1d(f32(1, 1, 1), 2, { padding: 1, dilation: 2 })).toThrow(
      "maxPool1d: window 0 has no element of the input (dilation 2, padding 1); use less padding",
    );
    expect(() => avgPool2d(f32(1, 1, 3, 8), 4)).toThrow(
      "avgPool2d: a window of 4 does not fit into 3 elements",
    );
    expect(() => maxPool2d(f32(4, 4), 2)).toThrow(
      "takes input of shape [batch, channels, rows, columns], found [4, 4]",
    );
  });
});

describe("maxima", () => {
  gpuTest(
    "OP-04 the gradient goes to the first of equal ones, and to NaN, which is the largest",
    async (gpu) => {
      const x = f32(1, 1, 2, 8);
      const elements = { x: [1, 5, -0, 0, NaN, 9, -Infinity, -2, 5, 5, 0, -1, 2, Infinity, -Infinity, -3] };
      const pooled = maxPool2d(x, 2);
      const values = [pooled, ...gradients(sum(mul(pooled, 3)), [x])];
      const expected = [
        [5, 0, NaN, -2],
        [0, 3, 3, 0, 3, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0],
      ];
      const numbers = (list: ArrayLike<number | bigint>): number[] => Array.from(list, (x) => Number(x) + 0);
      expect(interpret(values, { inputs: elements }).map(numbers)).toEqual(expected);
      const found = await runValues(gpu, values, elements);
      expect(found.map((tensor) => numbers(tensor.toArray()))).toEqual(expected);
    },
  );

  const windows: Record<
    string,
    [shape: number[], kernel: number | [number, number], options: MaxPoolOptions]
  > = {
    "side by side, with elements behind the last": [[2, 3, 7, 9], 2, {}],
    "side by side, and the last is cut": [[1, 2, 7, 5], [2, 3], { ceilMode: true }],
    "with gaps between them": [[1, 3, 10, 11], [2, 1], { stride: [3, 4] }],
    "with gaps, and elements left out inside": [[2, 1, 12, 9], 2, { stride: 4, dilation: [2, 3] }],
    "that begin in the padding": [[1, 2, 8, 7], 3, { stride: [3, 4], padding: 1 }],
    "that overlap": [[1, 2, 6, 7], [3, 2], { stride: [1, 2], padding: [1, 0] }],
    "that overlap along columns only": [[1, 1, 6, 6], 2, { stride: [2, 1] }],
  };
  for (const [name, [shape, kernel, options]] of Object.entries(windows)) {
    gpuTest(`OP-04 windows ${name}: the maxima, and where their gradients go`, async (gpu) => {
      const x = f32(...shape);
      const pooled = maxPool2d(x, kernel, options);
      const weights = input("weights", "f32", pooled.shape);
      const values = [pooled, ...gradients(sum(mul(pooled, weights)), [x])];
      const elements = { x: mixed(elementCount(shape)), weights: mixed(elementCount(pooled.shape)) };
      const expected = interpret(values, { inputs: elements });
      const found = await runValues(gpu, values, elements);
      expect(found.map((tensor) => Array.from(tensor.toArray(), Number))).toEqual(
        expected.map((list) => Array.from(list, (element) => Math.fround(Number(element)))),
      );
    });
  }
});

/** Small integers in no order, some of them equal. */
function mixed(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index * 7919 % 31 - 12);
}
