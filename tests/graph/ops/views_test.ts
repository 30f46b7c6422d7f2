import { describe, expect, test } from "bun:test";
import { argmax } from "../../../src/graph/ops/argmax.ts";
import { mul } from "../../../src/graph/ops/arithmetic.ts";
import { full } from "../../../src/graph/ops/fill.ts";
import { max, mean } from "../../../src/graph/ops/reduce.ts";
import { softmax } from "../../../src/graph/ops/softmax.ts";
import { sum } from "../../../src/graph/ops/sum.ts";
import { broadcastTo } from "../../../src/graph/ops/views.ts";
import { reshape, transpose } from "../../../src/graph/ops/views.ts";
import { input } from "../../../src/graph/ops/sources.ts";
import type { Value } from "../../../src/graph/value.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { runValues } from "../run_values.ts";

function f32(...shape: number[]): Value {
  return input("x", "f32", shape);
}

/** Calls `op` as JavaScript would, whatever the types say. */
function untyped(op: (...inputs: never[]) => unknown, ...inputs: unknown[]): () => unknown {
  return () => Reflect.apply(op, undefined, inputs);
}

describe("reshape", () => {
  test("works out one open dimension, also beside ones and where there are no elements", () => {
    expect(reshape(f32(6), [-1]).shape).toEqual([6]);
    expect(reshape(f32(6), [1, -1, 1, 3]).shape).toEqual([1, 2, 1, 3]);
    expect(reshape(f32(), [-1, 1]).shape).toEqual([1, 1]);
    expect(reshape(f32(0, 4), [2, -1]).shape).toEqual([2, 0]);
    expect(reshape(f32(3, 0), [0]).shape).toEqual([0]);
  });

  const mistakes: [
    name: string,
    shape: unknown,
    kind: typeof TypeError | typeof RangeError,
    message: string,
  ][] = [
    ["two open dimensions", [-1, -1], TypeError, "[-1, -1] leaves 2 dimensions open; -1 may stand for one"],
    ["two open ones beside a whole one", [-1, 6, -1], TypeError, "leaves 2 dimensions open"],
    ["an open one that is no whole number", [4, -1], TypeError, "has 6 elements and does not fit [4, -1]"],
    ["an open one beside a 0", [0, -1], TypeError, "has 6 elements and does not fit [0, -1]"],
    ["another size", [7], TypeError, "has 6 elements and does not fit [7]"],
    ["no elements", [0], TypeError, "does not fit [0]"],
    ["a negative dimension", [-2, -3], RangeError, "-2 is no dimension"],
    ["a negative dimension beside an open one", [-1, -6], RangeError, "-6 is no dimension"],
    ["a fraction", [1.5, 4], RangeError, "1.5 is no dimension"],
    ["a fraction beside an open one", [1.5, -1], RangeError, "1.5 is no dimension"],
    ["NaN beside an open one", [-1, NaN], RangeError, "NaN is no dimension"],
    ["text", ["6"], RangeError, "6 is no dimension"],
    ["nine dimensions", [-1, 1, 1, 1, 1, 1, 1, 1, 1], RangeError, "9 dimensions; 8 is the most"],
    ["a number for a shape", 6, TypeError, "reshape is 6, expected an array of dimensions"],
  ];
  for (const [name, shape, kind, message] of mistakes) {
    test(`to ${name}: a ${kind.name} that says what is wrong`, () => {
      expect(untyped(reshape, f32(6), shape)).toThrow(kind);
      expect(untyped(reshape, f32(6), shape)).toThrow(message);
    });
  }

  test("of no elements with an open dimension that could be anything: a TypeError", () => {
    expect(() => reshape(f32(0, 5), [0, -1])).toThrow(TypeError);
    expect(() => reshape(f32(0, 5), [0, -1])).toThrow("-1 could be anything in [0, -1]");
  });
});

describe("transpose", () => {
  gpuTest("counts negative axes from the end", async (gpu) => {
    const x = f32(2, 1, 3);
    expect(transpose(x, [-1, 0, 1]).shape).toEqual([3, 2, 1]);
    expect(transpose(x, [0, -2, -1])).toBe(x);
    const [found] = await runValues(gpu, [mul(transpose(x, [-1, -2, -3]), 1)], { x: [1, 2, 3, 4, 5, 6] });
    expect(Array.from(found?.toArray() ?? [], Number)).toEqual([1, 4, 2, 5, 3, 6]);
  });

  const wrong = [[0, 0], [1, -1], [0], [0, 1, 2], [0, 2], [0, -3], [0, 0.5], [0, NaN]];
  for (const order of wrong) {
    test(`by [${order}]: a TypeError, as axes are missing, repeated or none`, () => {
      expect(() => transpose(f32(2, 3), order)).toThrow(TypeError);
      expect(() => transpose(f32(2, 3), order)).toThrow("is no order of the 2 axes of shape [2, 3]");
    });
  }

  test("by a number: a TypeError that shows a list", () => {
    expect(untyped(transpose, f32(2, 3), 1)).toThrow("transpose: 1 is no list of axes, such as [1, 0]");
  });
});

describe("other shapes and axes", () => {
  test("broadcastTo and full take whole sizes only, also where nothing is to be done", () => {
    expect(() => broadcastTo(f32(1), [-1])).toThrow(RangeError);
    expect(() => broadcastTo(f32(1), [2.5])).toThrow("2.5 is no dimension");
    expect(() => full([3, -1], 0)).toThrow("-1 is no dimension");
    expect(untyped(broadcastTo, f32(1), 1)).toThrow("broadcastTo is 1, expected an array of dimensions");
  });

  test("an axis twice, outside, or no whole number is a TypeError in every reduction", () => {
    for (const op of [sum, mean, max]) {
      expect(() => op(f32(2, 3), { axes: [0, 0] })).toThrow("axis 0 of [2, 3] is listed twice");
      expect(() => op(f32(2, 3), { axes: [-1, 1] })).toThrow("axis 1 of [2, 3] is listed twice");
      expect(() => op(f32(2, 3), { axes: [2] })).toThrow("has no axis 2");
      expect(() => op(f32(2, 3), { axes: -3 })).toThrow("has no axis -3");
      expect(() => op(f32(2, 3), { axes: 0.5 })).toThrow("has no axis 0.5");
    }
    expect(() => softmax(f32(2, 3), { axis: 2 })).toThrow("has no axis 2");
    expect(() => softmax(f32())).toThrow("has no axis -1");
    expect(() => argmax(f32(2, 3), { axis: 1.5 })).toThrow("has no axis 1.5");
    expect(untyped(argmax, f32(2, 3), { axis: [0, 1] })).toThrow("argmax: the axis is one number, not 0,1");
  });
});
