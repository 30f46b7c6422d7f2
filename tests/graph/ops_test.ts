import { describe, expect, test } from "bun:test";
import { argmax } from "../../src/graph/ops/argmax.ts";
import { add, mul, neg } from "../../src/graph/ops/arithmetic.ts";
import { cast } from "../../src/graph/ops/cast.ts";
import { equal, logicalNot, where } from "../../src/graph/ops/comparison.ts";
import { customOp } from "../../src/graph/ops/custom.ts";
import { matmul } from "../../src/graph/ops/matmul.ts";
import { dropout, randomNormal, randomUniform } from "../../src/graph/ops/random.ts";
import { max, mean, min } from "../../src/graph/ops/reduce.ts";
import { softmaxCrossEntropy } from "../../src/graph/ops/softmax_cross_entropy.ts";
import { sum } from "../../src/graph/ops/sum.ts";
import { broadcastTo } from "../../src/graph/ops/views.ts";
import { exp } from "../../src/graph/ops/transcendental.ts";
import { pow } from "../../src/graph/ops/power.ts";
import { reshape, transpose } from "../../src/graph/ops/views.ts";
import { constant, input, parameter, stepScalar } from "../../src/graph/ops/sources.ts";
import { reachable, type Value } from "../../src/graph/value.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";

function f32(...shape: number[]): Value {
  return input("x", "f32", shape);
}

describe("shape rules", () => {
  test("elementwise operands broadcast as in NumPy", () => {
    expect(add(f32(4, 1, 3), f32(2, 1)).shape).toEqual([4, 2, 3]);
    expect(add(f32(), f32(2, 0)).shape).toEqual([2, 0]);
    expect(where(input("c", "u32", [2, 1]), f32(3), 0).shape).toEqual([2, 3]);
  });

  test("a number takes the dtype of the other operand", () => {
    expect(mul(input("n", "i32", [2]), -3).dtype).toBe("i32");
    expect(mul(2, 3).dtype).toBe("f32");
  });

  test("reductions drop their axes, or keep them with size 1", () => {
    expect(sum(f32(2, 3, 4)).shape).toEqual([]);
    expect(sum(f32(2, 3, 4), { axes: [0, -1] }).shape).toEqual([3]);
    expect(mean(f32(2, 3, 4), { axes: 1, keepDims: true }).shape).toEqual([2, 1, 4]);
    expect(max(f32(2, 1, 4), { axes: 1 }).shape).toEqual([2, 4]);
    expect(argmax(f32(2, 3, 4)).shape).toEqual([2, 3]);
    expect(sum(f32(2, 3), { axes: [] }).shape).toEqual([2, 3]);
  });

  test("one dimension of reshape may be left open", () => {
    expect(reshape(f32(4, 6), [3, -1]).shape).toEqual([3, 8]);
    expect(reshape(f32(0, 5), [-1, 5]).shape).toEqual([0, 5]);
  });

  test("matmul takes transposed operands", () => {
    expect(matmul(f32(4, 2), f32(3, 4), { transposeA: true, transposeB: true }).shape).toEqual([2, 3]);
  });

  test("transpose reverses the axes unless told otherwise", () => {
    expect(transpose(f32(2, 3, 4)).shape).toEqual([4, 3, 2]);
    expect(transpose(f32(2, 3, 4), [1, 0, 2]).shape).toEqual([3, 2, 4]);
  });

  test("comparisons give u32", () => {
    expect(equal(f32(2), 1).dtype).toBe("u32");
  });
});

describe("values that need no op", () => {
  const x = f32(2, 3);

  test("reshaping, casting or broadcasting to what a value is gives the value", () => {
    expect(reshape(x, [2, 3])).toBe(x);
    expect(cast(x, "f32")).toBe(x);
    expect(broadcastTo(x, [2, 3])).toBe(x);
    expect(transpose(x, [0, 1])).toBe(x);
    expect(dropout(x, { rate: 0, stream: 1 })).toBe(x);
  });

  test("there and back is where it began", () => {
    expect(reshape(reshape(x, [6]), [2, 3])).toBe(x);
    expect(transpose(transpose(x))).toBe(x);
  });

  test("matmul reads a transposed matrix in place", () => {
    const product = matmul(transpose(x), transpose(f32(4, 2)));
    expect(reachable([product]).map(({ op }) => op)).toEqual(["input", "input", "matmul"]);
    expect(product.attributes).toEqual({ transposeA: true, transposeB: true });
  });

  test("a reshaped number stays a number", () => {
    const ones = reshape(broadcastTo(constant(1), [4]), [2, 2]);
    expect(reachable([ones]).map(({ op }) => op)).toEqual(["number", "broadcastTo"]);
  });

  test("values and what they hold cannot be changed", () => {
    expect(
      Object.isFrozen(x) && Object.isFrozen(x.shape) && Object.isFrozen(x.inputs) &&
        Object.isFrozen(x.attributes),
    ).toBe(true);
  });
});

describe("mistakes in shapes and dtypes", () => {
  const mistakes: [name: string, make: () => unknown, message: string][] = [
    [
      "shapes that do not broadcast",
      () => add(f32(2, 3), f32(4)),
      "add: shapes [2, 3] and [4] do not broadcast: aligned at the right, sizes have to be equal or 1; reshape one of them",
    ],
    [
      "two dtypes",
      () => add(f32(2), input("n", "u32", [3])),
      'add: f32 of shape [2] and u32 of shape [3] differ in dtype; convert one with cast(value, "f32")',
    ],
    [
      "a dtype that shaders cannot compute in",
      () => mul(input("h", "f16", [2]), 2),
      'mul: takes f32, i32, u32, not f16 of shape [2]; convert it with cast(value, "f32")',
    ],
    [
      "an integer where only f32 goes",
      () => exp(input("n", "i32", [2])),
      'exp: takes f32, not i32 of shape [2]; convert it with cast(value, "f32")',
    ],
    ["pow of integers", () => pow(input("n", "i32", [2]), 2), "pow: takes f32, not i32"],
    ["neg of u32", () => neg(input("n", "u32", [2])), "neg: takes f32, i32, not u32"],
    ["logic of floats", () => logicalNot(f32(2)), "logicalNot: takes u32, not f32"],
    ["a condition of floats", () => where(f32(2), 1, 0), "where: takes u32, bool, not f32"],
    [
      "inner sizes of matmul that differ",
      () => matmul(f32(2, 3), f32(4, 5)),
      "matmul: [2, 3] and [4, 5] do not fit: the inner sizes are 3 and 4; transpose one of them",
    ],
    [
      "inner sizes of a transposed matmul that differ",
      () => matmul(f32(2, 3), f32(3, 5), { transposeB: true }),
      "matmul: [2, 3] and [3, 5] transposed do not fit: the inner sizes are 3 and 5",
    ],
    [
      "matmul of a number",
      () => matmul(f32(), f32(3, 5)),
      "matmul: takes matrices and vectors, not shapes [] and [3, 5]; mul() takes numbers",
    ],
    [
      "a reshape to another size",
      () => reshape(f32(2, 3), [4]),
      "reshape: [2, 3] has 6 elements and does not fit [4]; give a shape with as many elements",
    ],
    [
      "a reshape with no whole rest",
      () => reshape(f32(2, 3), [4, -1]),
      "reshape: [2, 3] has 6 elements and does not fit [4, -1]",
    ],
    [
      "a permutation that misses an axis",
      () => transpose(f32(2, 3), [0, 0]),
      "transpose: [0, 0] is no order of the 2 axes of shape [2, 3]; list each axis from 0 to 1 once",
    ],
    [
      "a broadcast to a smaller shape",
      () => broadcastTo(f32(2, 3), [3]),
      "broadcastTo: [2, 3] does not broadcast to [3]; only axes of size 1 repeat",
    ],
    [
      "a broadcast to another shape",
      () => broadcastTo(f32(2), [3]),
      "broadcastTo: shapes [2] and [3] do not broadcast",
    ],
    [
      "an axis that is not there",
      () => sum(f32(2, 3), { axes: 2 }),
      "sum: shape [2, 3] has no axis 2; it has 2 axes",
    ],
    ["an axis twice", () => sum(f32(2, 3), { axes: [1, -1] }), "sum: axis -1 of [2, 3] is listed twice"],
    [
      "max of nothing",
      () => max(f32(2, 0), { axes: 1 }),
      "max: shape [2, 0] has no element on an axis that is reduced",
    ],
    ["min of nothing", () => min(f32(0)), "min: shape [0] has no element"],
    ["argmax of nothing", () => argmax(f32(2, 0)), "argmax: axis -1 of shape [2, 0] has no element"],
    [
      "labels of another batch",
      () => softmaxCrossEntropy(f32(4, 3), input("l", "u32", [5])),
      "softmaxCrossEntropy: takes logits [rows, classes] and labels [rows], not [4, 3] and [5]",
    ],
    [
      "labels of another dtype",
      () => softmaxCrossEntropy(f32(4, 3), input("l", "u8", [4])),
      'softmaxCrossEntropy: takes u32, not u8 of shape [4]; convert it with cast(value, "u32")',
    ],
    [
      "no classes",
      () => softmaxCrossEntropy(f32(4, 0), input("l", "u32", [4])),
      "softmaxCrossEntropy: logits of shape [4, 0] have no class to choose from",
    ],
    [
      "a cast to a storage dtype",
      () => Reflect.apply(cast, undefined, [f32(2), "f16"]),
      "cast: the GPU computes in f32, i32 and u32, not f16",
    ],
    [
      "a dtype of the host",
      () => parameter("p", "f64", [2]),
      'parameter "p": dtype f64 stays on the host; the GPU takes f32, i32, u32, f16, bf16, u8 and bool',
    ],
    [
      "a tensor of a dtype of the host",
      () => constant(HostTensor.from([1n])),
      "constant: dtype i64 stays on the host",
    ],
    ["an input without a name", () => input("", "f32", [2]), "input: the name is empty"],
    [
      "eight inputs of a custom op",
      () =>
        customOp({
          name: "wide",
          inputs: Array.from({ length: 8 }, () => f32(1)),
          outputShape: [1],
          wgsl: "",
          workgroups: [1, 1, 1],
        }),
      "wide: takes at most 7 inputs, not 8",
    ],
  ];
  for (const [name, make, message] of mistakes) {
    test(`${name}: a TypeError that says what to do`, () => {
      expect(make).toThrow(TypeError);
      expect(make).toThrow(message);
    });
  }

  const ranges: [name: string, make: () => unknown, message: string][] = [
    ["a constant outside of its dtype", () => constant(-1, "u32"), "constant: -1 is no u32"],
    ["a fraction as an integer", () => constant(1.5, "i32"), "constant: 1.5 is no i32"],
    [
      "an unknown step scalar",
      () => stepScalar(16),
      "stepScalar: the index is a whole number from 0 to 15, not 16",
    ],
    [
      "a dropout rate of 1",
      () => dropout(f32(2), { rate: 1, stream: 0 }),
      "dropout: the rate is from 0 to below 1, not 1",
    ],
    [
      "a negative stream",
      () => randomUniform([2], { stream: -1 }),
      "randomUniform: the stream is a whole number from 0 to 2^32 - 1, not -1",
    ],
    ["a negative size", () => randomNormal([-2], { stream: 1 }), "-2"],
  ];
  for (const [name, make, message] of ranges) {
    test(`${name}: a RangeError`, () => {
      expect(make).toThrow(RangeError);
      expect(make).toThrow(message);
    });
  }
});
