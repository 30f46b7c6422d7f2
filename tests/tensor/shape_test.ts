import { describe, expect, test } from "bun:test";
import {
  broadcastShapes,
  elementCount,
  formatShape,
  shapesEqual,
  validateShape,
} from "../../src/tensor/shape.ts";

describe("elementCount", () => {
  for (
    const [shape, count] of [[[], 1], [[0], 0], [[5], 5], [[2, 3, 4], 24], [[7, 0, 9], 0]] as [
      number[],
      number,
    ][]
  ) {
    test(`of [${shape}] is ${count}`, () => expect(elementCount(shape)).toBe(count));
  }

  test("refuses a product that is no safe integer, also when a zero would hide it", () => {
    expect(() => elementCount([2 ** 30, 2 ** 30])).toThrow(RangeError);
    expect(() => elementCount([2 ** 30, 2 ** 30, 0])).toThrow(RangeError);
  });
});

describe("validateShape", () => {
  test("lets scalars, zeros and 8 dimensions pass", () => {
    for (const shape of [[], [0], [1, 2, 3, 4, 5, 6, 7, 8], [Number.MAX_SAFE_INTEGER]]) validateShape(shape);
  });

  test("names what is wrong", () => {
    expect(() => validateShape([2, -1], "weight")).toThrow(
      new RangeError("weight [2, -1]: -1 is no dimension, expected an integer from 0"),
    );
    expect(() => validateShape([1.5])).toThrow(
      "shape [1.5]: 1.5 is no dimension, expected an integer from 0",
    );
    expect(() => validateShape([NaN])).toThrow(RangeError);
    expect(() => validateShape([1, 1, 1, 1, 1, 1, 1, 1, 1])).toThrow("has 9 dimensions; 8 is the most");
    expect(() => validateShape(3 as unknown as number[])).toThrow(
      new TypeError("shape is 3, expected an array of dimensions"),
    );
  });
});

describe("shapesEqual", () => {
  test("compares every dimension and their number", () => {
    expect(shapesEqual([2, 3], [2, 3])).toBe(true);
    expect(shapesEqual([], [])).toBe(true);
    expect(shapesEqual([2, 3], [3, 2])).toBe(false);
    expect(shapesEqual([2, 3], [2, 3, 1])).toBe(false);
    expect(shapesEqual([2, 3, 1], [2, 3])).toBe(false);
  });
});

describe("broadcastShapes", () => {
  const rows: [number[], number[], number[]][] = [
    [[], [], []],
    [[3], [], [3]],
    [[2, 3], [3], [2, 3]],
    [[2, 1], [1, 3], [2, 3]],
    [[4, 1, 5], [3, 1], [4, 3, 5]],
    [[0], [1], [0]],
    [[2, 0], [1], [2, 0]],
  ];
  for (const [a, b, expected] of rows) {
    test(`of [${a}] and [${b}] is [${expected}], either way round`, () => {
      expect(broadcastShapes(a, b)).toEqual(expected);
      expect(broadcastShapes(b, a)).toEqual(expected);
    });
  }

  test("names both shapes and the dimension that does not fit", () => {
    expect(() => broadcastShapes([2, 3], [4, 3])).toThrow(
      new TypeError("Shapes [2, 3] and [4, 3] do not broadcast: dimension 0 is 2 in one and 4 in the other"),
    );
    expect(() => broadcastShapes([0], [2])).toThrow(TypeError);
  });
});

test("formatShape writes shapes as in the documentation", () => {
  expect([formatShape([64, 784]), formatShape([]), formatShape([7])]).toEqual(["[64, 784]", "[]", "[7]"]);
});
