import { add, mul, square } from "../../../src/graph/ops/arithmetic.ts";
import { cast } from "../../../src/graph/ops/cast.ts";
import { max } from "../../../src/graph/ops/reduce.ts";
import { sum } from "../../../src/graph/ops/sum.ts";
import { exactly, sum as enclosedSum } from "../../helpers/enclosure.ts";
import { f32, opCase, u32 } from "../op_case.ts";
import { encloseElement } from "./element_twins.ts";
import { at, groupsOf } from "./elements.ts";
import type { OpTwins } from "./op_twin.ts";
import { overAxes } from "./reduction_uses.ts";

/** Twin of `src/graph/ops/sum.ts`. */
export const sumTwins: OpTwins = {
  sum: {
    evaluate: (value, inputs) =>
      groupsOf(value, at(inputs, 0)).map((group) => group.reduce((total, x) => total + x, 0)),
    enclose: (value, inputs) =>
      groupsOf(value, at(inputs, 0)).map((group) =>
        value.dtype === "f32"
          ? enclosedSum(group)
          : group.reduce((x, y) => encloseElement("add", [x, y], value.dtype), exactly(0))
      ),
    use: overAxes(sum, true),
    cases: [
      opCase(
        "sums and largest of integers",
        [u32([3, 4], 100), f32([3])],
        (a, b) => mul(cast(add(sum(a, { axes: 1 }), max(a, { axes: 1 })), "f32"), b),
      ),
      opCase("sum of everything", [f32([3, 4])], (a) => sum(square(a))),
      opCase("sum over the last axis", [f32([3, 4])], (a) => sum(square(a), { axes: -1 })),
      opCase("sum over the first axis", [f32([3, 4])], (a) => sum(a, { axes: [0], keepDims: true })),
      opCase("sum over axes apart", [f32([2, 3, 4])], (a) => sum(square(a), { axes: [0, 2] })),
    ],
  },
};
