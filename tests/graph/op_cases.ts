import { argmax } from "../../src/graph/ops/argmax.ts";
import { add, div, mul, square, sub } from "../../src/graph/ops/arithmetic.ts";
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
import { relu } from "../../src/graph/ops/piecewise.ts";
import { dropout, randomNormal, randomUniform } from "../../src/graph/ops/random.ts";
import { max, mean, min } from "../../src/graph/ops/reduce.ts";
import { logSoftmax, softmax } from "../../src/graph/ops/softmax.ts";
import { softmaxCrossEntropy } from "../../src/graph/ops/softmax_cross_entropy.ts";
import { constant, stepScalar } from "../../src/graph/ops/sources.ts";
import { sum } from "../../src/graph/ops/sum.ts";
import { broadcastTo, reshape, stopGradient, transpose } from "../../src/graph/ops/views.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { f32, type OpCase, opCase, u32 } from "./op_case.ts";
import { ELEMENT_TWINS } from "./ops/element_twins.ts";

const fixed = HostTensor.from([1.5, -2.5, 0.25], [3]);

/** At least one case for every op. */
export const OP_CASES: readonly OpCase[] = [
  ...Object.values(ELEMENT_TWINS).flatMap(({ cases = [] }) => cases),
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
