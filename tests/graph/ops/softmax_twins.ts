import { logSoftmax, softmax } from "../../../src/graph/ops/softmax.ts";
import type { Value } from "../../../src/graph/value.ts";
import * as enclosure from "../../helpers/enclosure.ts";
import { f32, opCase } from "../op_case.ts";
import { encloseElement } from "./element_twins.ts";
import { alongRows } from "./elements.ts";
import type { OpTwins } from "./op_twin.ts";
import { alongAxis } from "./reduction_uses.ts";

type Enclosure = enclosure.Enclosure;

function axisOf(value: Value): number {
  return (value.attributes as { axis: number }).axis;
}

/** `op` of floats. */
function of(op: string, ...operands: Enclosure[]): Enclosure {
  return encloseElement(op, operands, "f32");
}

function total(numbers: readonly number[]): number {
  return numbers.reduce((sum, x) => sum + x, 0);
}

/** Powers of `e` and their sum, after the largest was taken away. */
function powersOf(row: readonly number[]): { shifted: number[]; powers: number[]; sum: number } {
  const largest = Math.max(...row);
  const shifted = row.map((x) => x - largest);
  const powers = shifted.map(Math.exp);
  return { shifted, powers, sum: total(powers) };
}

function enclosedPowersOf(row: readonly Enclosure[]): {
  shifted: Enclosure[];
  powers: Enclosure[];
  sum: Enclosure;
} {
  const largest = row.reduce((x, y) => of("maximum", x, y));
  const shifted = row.map((x) => of("sub", x, largest));
  const powers = shifted.map((x) => of("exp", x));
  return { shifted, powers, sum: enclosure.sum(powers) };
}

/** Twins of `src/graph/ops/softmax.ts`. */
export const softmaxTwins: OpTwins = {
  softmax: {
    evaluate: (value, inputs) =>
      alongRows(value, axisOf(value), inputs, ([row = []]) => {
        const { powers, sum } = powersOf(row);
        return powers.map((power) => power / sum);
      }),
    enclose: (value, inputs) =>
      alongRows(value, axisOf(value), inputs, ([row = []]) => {
        const { powers, sum } = enclosedPowersOf(row);
        return powers.map((power) => of("div", power, sum));
      }),
    use: alongAxis(softmax),
    cases: [
      opCase("softmax", [f32([3, 4])], (a) => softmax(a)),
      opCase("softmax of an odd row", [f32([2, 7])], (a) => softmax(a)),
    ],
  },
  logSoftmax: {
    evaluate: (value, inputs) =>
      alongRows(value, axisOf(value), inputs, ([row = []]) => {
        const { shifted, sum } = powersOf(row);
        return shifted.map((x) => x - Math.log(sum));
      }),
    enclose: (value, inputs) =>
      alongRows(value, axisOf(value), inputs, ([row = []]) => {
        const { shifted, sum } = enclosedPowersOf(row);
        return shifted.map((x) => of("sub", x, of("log", sum)));
      }),
    use: alongAxis(logSoftmax),
    cases: [
      opCase("logSoftmax over the first axis", [f32([3, 4])], (a) => logSoftmax(a, { axis: 0 })),
      opCase("logSoftmax over an axis in the middle", [f32([2, 5, 3])], (a) => logSoftmax(a, { axis: 1 })),
    ],
  },
  softmaxGradient: {
    evaluate: (value, inputs) =>
      alongRows(value, axisOf(value), inputs, ([y = [], g = []]) => {
        const sum = total(y.map((x, index) => x * (g[index] ?? NaN)));
        return y.map((x, index) => x * ((g[index] ?? NaN) - sum));
      }),
    enclose: (value, inputs) =>
      alongRows(value, axisOf(value), inputs, ([y = [], g = []]) => {
        const terms = y.map((x, index) => enclosure.product(x, g[index] ?? enclosure.ONLY_NAN));
        const sum = enclosure.sum(terms, true);
        return y.map((x, index) => of("mul", x, of("sub", g[index] ?? enclosure.ONLY_NAN, sum)));
      }),
  },
  logSoftmaxGradient: {
    evaluate: (value, inputs) =>
      alongRows(value, axisOf(value), inputs, ([y = [], g = []]) => {
        const sum = total(g);
        return y.map((x, index) => (g[index] ?? NaN) - Math.exp(x) * sum);
      }),
    enclose: (value, inputs) =>
      alongRows(value, axisOf(value), inputs, ([y = [], g = []]) => {
        const sum = enclosure.sum(g);
        return y.map((x, index) => of("sub", g[index] ?? enclosure.ONLY_NAN, of("mul", of("exp", x), sum)));
      }),
  },
};
