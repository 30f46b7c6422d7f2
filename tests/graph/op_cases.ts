import type { DType } from "../../src/base/dtype.ts";
import { argmax } from "../../src/graph/ops/argmax.ts";
import { add, div, mul, neg, reciprocal, square, sub } from "../../src/graph/ops/arithmetic.ts";
import { cast } from "../../src/graph/ops/cast.ts";
import {
  equal,
  greater,
  greaterEqual,
  isNaNValue,
  less,
  lessEqual,
  logicalAnd,
  logicalNot,
  logicalOr,
  notEqual,
  where,
} from "../../src/graph/ops/comparison.ts";
import { full } from "../../src/graph/ops/fill.ts";
import { matmul } from "../../src/graph/ops/matmul.ts";
import { abs, floor, maximum, minimum, relu, sign } from "../../src/graph/ops/piecewise.ts";
import { dropout, randomNormal, randomUniform } from "../../src/graph/ops/random.ts";
import { max, mean, min } from "../../src/graph/ops/reduce.ts";
import { logSoftmax, softmax } from "../../src/graph/ops/softmax.ts";
import { softmaxCrossEntropy } from "../../src/graph/ops/softmax_cross_entropy.ts";
import { broadcastTo, sum } from "../../src/graph/ops/sum.ts";
import { cos, exp, log, pow, rsqrt, sigmoid, sin, sqrt, tanh } from "../../src/graph/ops/transcendental.ts";
import { reshape, stopGradient, transpose } from "../../src/graph/ops/views.ts";
import { constant, input, stepScalar, type Value } from "../../src/graph/value.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import type { Shape } from "../../src/tensor/shape.ts";

/** An operand of a case: where its elements are drawn from. */
export interface Operand {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly from: number;
  readonly to: number;
}

/** A use of one or more ops, for the gradient check on the host and the comparison on the GPU. */
export interface OpCase {
  readonly name: string;
  readonly operands: readonly Operand[];
  readonly build: (operands: readonly Value[]) => Value;
}

/** An f32 operand; its range keeps clear of where a function has no derivative. */
function f32(shape: Shape, from = -2, to = 2): Operand {
  return { shape, dtype: "f32", from, to };
}

function u32(shape: Shape, to: number): Operand {
  return { shape, dtype: "u32", from: 0, to };
}

type Build = (a: Value, b: Value, c: Value) => Value;

/** A case; operands that it does not have are zeros of shape `[]`, which it does not use. */
function opCase(name: string, operands: readonly Operand[], build: Build): OpCase {
  const unused = constant(0);
  return { name, operands, build: ([a = unused, b = unused, c = unused]) => build(a, b, c) };
}

const fixed = HostTensor.from([1.5, -2.5, 0.25], [3]);

/** At least one case for every op in the table. */
export const OP_CASES: readonly OpCase[] = [
  opCase("add of equal shapes", [f32([2, 3]), f32([2, 3])], add),
  opCase("add of a row to every row", [f32([4, 3]), f32([3])], add),
  opCase("add that broadcasts both operands", [f32([4, 1]), f32([1, 5])], add),
  opCase("add of a scalar tensor", [f32([2, 2, 3]), f32([])], add),
  opCase("sub that broadcasts in the middle", [f32([2, 1, 3]), f32([2, 4, 3])], sub),
  opCase("mul that broadcasts over a new axis", [f32([3]), f32([2, 3])], mul),
  opCase("div by a column", [f32([3, 4]), f32([3, 1], 0.5, 2)], div),
  opCase("arithmetic with numbers", [f32([5])], (a) => sub(1, mul(add(a, 2), div(3, add(square(a), 1))))),
  opCase("neg", [f32([5])], neg),
  opCase("square", [f32([5])], square),
  opCase("reciprocal", [f32([5], 0.5, 2)], reciprocal),
  opCase("exp", [f32([7])], exp),
  opCase("log", [f32([7], 0.5, 3)], log),
  opCase("sqrt", [f32([7], 0.5, 3)], sqrt),
  opCase("rsqrt", [f32([7], 0.5, 3)], rsqrt),
  opCase("tanh", [f32([7])], tanh),
  opCase("sigmoid", [f32([7])], sigmoid),
  opCase("sin", [f32([7])], sin),
  opCase("cos", [f32([7])], cos),
  opCase("pow that broadcasts", [f32([3, 2], 0.5, 2), f32([2])], pow),
  opCase("maximum", [f32([6]), f32([6])], maximum),
  opCase("minimum with a number", [f32([6])], (a) => minimum(a, 0.3)),
  opCase("relu", [f32([9])], relu),
  opCase("abs", [f32([9])], abs),
  opCase("sign as a mask", [f32([9])], (a) => mul(sign(a), a)),
  opCase("floor as a mask", [f32([9], 0.1, 0.9)], (a) => mul(add(floor(a), 2), a)),
  opCase("where", [u32([2, 3], 2), f32([2, 3]), f32([3])], where),
  opCase("comparisons as masks", [f32([8]), f32([8])], (a, b) => {
    const masks = [
      equal(a, b),
      notEqual(a, b),
      less(a, b),
      lessEqual(a, b),
      greater(a, b),
      greaterEqual(a, b),
    ];
    return masks.reduce(
      (total, mask, index) => add(total, mul(cast(mask, "f32"), mul(a, index + 1))),
      mul(b, 0.5),
    );
  }),
  opCase(
    "logic",
    [u32([8], 3), u32([8], 3), f32([8])],
    (a, b, c) => where(logicalOr(logicalAnd(a, b), logicalNot(a)), c, mul(cast(isNaNValue(c), "f32"), c)),
  ),
  opCase("cast from integers", [u32([6], 100), f32([6])], (a, b) => mul(cast(a, "f32"), b)),
  opCase(
    "arithmetic of integers",
    [u32([6], 100), f32([6])],
    (a, b) => mul(cast(add(mul(a, 3), div(a, 7)), "f32"), b),
  ),
  opCase(
    "sums and largest of integers",
    [u32([3, 4], 100), f32([3])],
    (a, b) => mul(cast(add(sum(a, { axes: 1 }), max(a, { axes: 1 })), "f32"), b),
  ),
  opCase("reshape", [f32([2, 6])], (a) => square(reshape(a, [3, -1]))),
  opCase("transpose of a matrix", [f32([2, 3])], (a) => mul(transpose(a), 2)),
  opCase("transpose of four axes", [f32([2, 3, 2, 2])], (a) => square(transpose(a, [2, 0, 3, 1]))),
  opCase("broadcastTo", [f32([3, 1])], (a) => broadcastTo(a, [2, 3, 4])),
  opCase(
    "stopGradient under a constant function",
    [f32([4])],
    (a) => mul(a, sub(add(stopGradient(a), 1), stopGradient(a))),
  ),
  opCase("sum of everything", [f32([3, 4])], (a) => sum(square(a))),
  opCase("sum over the last axis", [f32([3, 4])], (a) => sum(square(a), { axes: -1 })),
  opCase("sum over the first axis", [f32([3, 4])], (a) => sum(a, { axes: [0], keepDims: true })),
  opCase("sum over axes apart", [f32([2, 3, 4])], (a) => sum(square(a), { axes: [0, 2] })),
  opCase("mean over the middle axis", [f32([2, 3, 4])], (a) => mean(square(a), { axes: 1, keepDims: true })),
  opCase("mean of everything", [f32([5, 3])], (a) => mean(square(a))),
  opCase("max over the last axis", [f32([4, 5])], (a) => max(a, { axes: 1 })),
  opCase("max of everything", [f32([2, 3, 2])], (a) => max(a)),
  opCase("min over the first axis", [f32([4, 5])], (a) => min(a, { axes: 0 })),
  opCase("argmax as a number", [f32([3, 5])], (a) => mul(cast(argmax(a, { keepDims: true }), "f32"), a)),
  // The same odd sizes again and again: each other one is a kernel to compile, which takes long on a CPU adapter.
  opCase("matmul", [f32([3, 5]), f32([5, 2])], (a, b) => matmul(a, b)),
  opCase(
    "matmul with A transposed",
    [f32([5, 3]), f32([5, 2])],
    (a, b) => matmul(a, b, { transposeA: true }),
  ),
  opCase(
    "matmul with B transposed",
    [f32([3, 5]), f32([2, 5])],
    (a, b) => matmul(a, b, { transposeB: true }),
  ),
  opCase(
    "matmul with both transposed",
    [f32([5, 3]), f32([2, 5])],
    (a, b) => matmul(a, b, { transposeA: true, transposeB: true }),
  ),
  opCase(
    "matmul of transposed values",
    [f32([5, 3]), f32([2, 5])],
    (a, b) => matmul(transpose(a), transpose(b)),
  ),
  opCase(
    "a layer with bias and relu",
    [f32([3, 5]), f32([2, 5]), f32([2])],
    (x, weight, bias) => relu(add(matmul(x, weight, { transposeB: true }), bias)),
  ),
  opCase("softmax", [f32([3, 4])], (a) => softmax(a)),
  opCase("logSoftmax over the first axis", [f32([3, 4])], (a) => logSoftmax(a, { axis: 0 })),
  opCase("softmaxCrossEntropy", [f32([4, 5], -3, 3), u32([4], 5)], softmaxCrossEntropy),
  opCase(
    "mean of softmaxCrossEntropy",
    [f32([4, 5], -3, 3), u32([4], 5)],
    (a, b) => mean(softmaxCrossEntropy(a, b)),
  ),
  opCase("randomUniform as noise", [f32([300])], (a) => mul(a, randomUniform([300], { stream: 3 }))),
  opCase("randomNormal as noise", [f32([5, 61])], (a) => mul(a, randomNormal([5, 61], { stream: 4 }))),
  opCase("dropout", [f32([10, 30])], (a) => dropout(a, { rate: 0.3, stream: 5 })),
  opCase(
    "constants and a number of the step",
    [f32([2, 3])],
    (a) => add(mul(a, constant(fixed)), mul(stepScalar(2), full([2, 3], 0.5))),
  ),
];

/** Deterministic elements for an operand; integers for integer dtypes. `f32` values are exact in `f32`. */
export function elementsOf(operand: Operand, seed: number): number[] {
  let state = seed * 7919 + 12345;
  const count = operand.shape.reduce((product, size) => product * size, 1);
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const x = operand.from + (operand.to - operand.from) * (state / 2 ** 32);
    return operand.dtype === "f32" ? Math.fround(x) : Math.floor(x);
  });
}

/** The case's operands as inputs named a, b, c. */
export function operandValues(opCase: OpCase): Value[] {
  return opCase.operands.map((operand, index) => input(operandName(index), operand.dtype, operand.shape));
}

/** Elements of all operands by input name. */
export function operandElements(opCase: OpCase): Record<string, number[]> {
  return Object.fromEntries(
    opCase.operands.map((operand, index) => [operandName(index), elementsOf(operand, index + 1)]),
  );
}

function operandName(index: number): string {
  return "abcdefgh"[index] ?? "z";
}
