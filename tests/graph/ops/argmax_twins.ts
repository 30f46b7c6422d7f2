import { argmax, argmin } from "../../../src/graph/ops/argmax.ts";
import { add, mul } from "../../../src/graph/ops/arithmetic.ts";
import { cast } from "../../../src/graph/ops/cast.ts";
import { between, type Enclosure, exactly, hasNumber, isPoint, neg } from "../../helpers/enclosure.ts";
import { f32, opCase } from "../op_case.ts";
import { at, groupsOf } from "./elements.ts";
import type { OpTwins } from "./op_twin.ts";
import { alongAxis } from "./reduction_uses.ts";

/** Twin of `src/graph/ops/argmax.ts`. */
export const argmaxTwins: OpTwins = {
  argmax: {
    evaluate: (value, inputs) => groupsOf(value, at(inputs, 0)).map(firstLargest),
    enclose: (value, inputs) => groupsOf(value, at(inputs, 0)).map(placesOfLargest),
    use: alongAxis(argmax),
    cases: [
      opCase(
        "argmax as a number",
        [f32([3, 5])],
        (a) => mul(cast(argmax(a, { keepDims: true }), "f32"), a),
      ),
    ],
  },
  argmin: {
    evaluate: (value, inputs) =>
      groupsOf(value, at(inputs, 0)).map((group) => firstLargest(group.map((x) => -x))),
    enclose: (value, inputs) =>
      groupsOf(value, at(inputs, 0)).map((group) => placesOfLargest(group.map(neg))),
    use: alongAxis(argmin),
    cases: [
      opCase(
        "argmin over the first axis, of numbers and integers",
        [f32([5, 3]), f32([5, 3])],
        (a, b) =>
          mul(cast(add(argmin(a, { axis: 0 }), argmax(cast(mul(a, 3), "i32"), { axis: 0 })), "f32"), b),
      ),
    ],
  },
};

function firstLargest(numbers: readonly number[]): number {
  const nan = numbers.findIndex(Number.isNaN);
  return nan >= 0 ? nan : numbers.indexOf(Math.max(...numbers));
}

function placesOfLargest(group: readonly Enclosure[]): Enclosure {
  if (group.every((x) => isPoint(x) || !hasNumber(x))) {
    return exactly(firstLargest(group.map(({ lo, hi }) => lo > hi ? NaN : lo)));
  }
  const best = group.filter(hasNumber).reduce((most, { lo }) => Math.max(most, lo), -Infinity);
  const places = [...group.keys()].filter((place) => {
    const { nan, hi } = at(group, place);
    return nan || hi >= best;
  });
  return between(Math.min(...places), Math.max(...places));
}
