import { square } from "../../../src/graph/ops/arithmetic.ts";
import { max, mean, min } from "../../../src/graph/ops/reduce.ts";
import { div, exactly, ONLY_NAN, sum } from "../../helpers/enclosure.ts";
import { f32, opCase } from "../op_case.ts";
import { twinOf } from "./element_twins.ts";
import { at, groupsOf } from "./elements.ts";
import type { OpTwins } from "./op_twin.ts";
import { overAxes } from "./reduction_uses.ts";

/** Twins of `src/graph/ops/reduce.ts`. */
export const reduceTwins: OpTwins = {
  mean: {
    evaluate: (value, inputs) =>
      groupsOf(value, at(inputs, 0)).map((group) => group.reduce((total, x) => total + x, 0) / group.length),
    enclose: (value, inputs) =>
      groupsOf(value, at(inputs, 0)).map((group) =>
        group.length === 0 ? ONLY_NAN : div(sum(group), exactly(group.length))
      ),
    use: overAxes(mean, true),
    cases: [
      opCase(
        "mean over the middle axis",
        [f32([2, 3, 4])],
        (a) => mean(square(a), { axes: 1, keepDims: true }),
      ),
      opCase("mean of everything", [f32([5, 3])], (a) => mean(square(a))),
    ],
  },
  max: {
    evaluate: (value, inputs) =>
      groupsOf(value, at(inputs, 0)).map((group) => group.reduce((x, y) => Math.max(x, y), -Infinity)),
    enclose: (value, inputs) =>
      groupsOf(value, at(inputs, 0)).map((group) => group.reduce((x, y) => twinOf("maximum").enclose(x, y))),
    use: overAxes(max, false),
    cases: [
      opCase("max over the last axis", [f32([4, 5])], (a) => max(a, { axes: 1 })),
      opCase("max of everything", [f32([2, 3, 2])], (a) => max(a)),
    ],
  },
  min: {
    evaluate: (value, inputs) =>
      groupsOf(value, at(inputs, 0)).map((group) => group.reduce((x, y) => Math.min(x, y), Infinity)),
    enclose: (value, inputs) =>
      groupsOf(value, at(inputs, 0)).map((group) => group.reduce((x, y) => twinOf("minimum").enclose(x, y))),
    use: overAxes(min, false),
    cases: [opCase("min over the first axis", [f32([4, 5])], (a) => min(a, { axes: 0 }))],
  },
};
