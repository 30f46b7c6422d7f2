import { describe, expect, test } from "bun:test";
import { gradients } from "../../../../src/graph/autodiff.ts";
import { mul } from "../../../../src/graph/ops/arithmetic.ts";
import { input } from "../../../../src/graph/ops/sources.ts";
import { avgPool1d, avgPool2d, maxPool1d, maxPool2d } from "../../../../src/graph/ops/spatial/pooling.ts";
import { upsample } from "../../../../src/graph/ops/spatial/upsample.ts";
import { sum } from "../../../../src/graph/ops/sum.ts";
import type { Value } from "../../../../src/graph/value.ts";
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
});
