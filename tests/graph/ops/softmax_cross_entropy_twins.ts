import { mean } from "../../../src/graph/ops/reduce.ts";
import { softmaxCrossEntropy } from "../../../src/graph/ops/softmax_cross_entropy.ts";
import type { Value } from "../../../src/graph/value.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import {
  ANYTHING,
  between,
  div,
  type Enclosure,
  exactly,
  mul,
  ONLY_NAN,
  sum,
  union,
} from "../../helpers/enclosure.ts";
import { f32, opCase, u32 } from "../op_case.ts";
import { twinOf } from "./element_twins.ts";
import { at, rowsOf } from "./elements.ts";
import type { Enclosures, OpTwins } from "./op_twin.ts";

/** Twins of `src/graph/ops/softmax_cross_entropy.ts`. */
export const softmaxCrossEntropyTwins: OpTwins = {
  softmaxCrossEntropy: {
    evaluate: (value, inputs) =>
      rowsOf(value, at(inputs, 0)).map((row, index) => {
        const largest = row.reduce((most, x) => Math.max(most, x), -Infinity);
        const total = row.reduce((terms, x) => terms + Math.exp(x - largest), 0);
        return Math.log(total) + largest - (row[at(at(inputs, 1), index)] ?? NaN);
      }),
    enclose: (value, inputs) =>
      rowsOf(value, at(inputs, 0)).map((row, index) => enclosedLoss(row, at(at(inputs, 1), index))),
    use(maker) {
      const logits = maker.f32(({ shape }) => shape.length === 2 && shape[1] !== 0);
      const [rows = 0, classes = 0] = logits.shape;
      const label = (): number => maker.random.below(maker.random.chance(0.05) ? classes + 1 : classes);
      const labels = HostTensor.from(Array.from({ length: rows }, label), [rows], "u32");
      return softmaxCrossEntropy(logits, maker.named("input", labels));
    },
    cases: [
      opCase("softmaxCrossEntropy", [f32([4, 5], -3, 3), u32([4], 5)], softmaxCrossEntropy),
      opCase(
        "mean of softmaxCrossEntropy",
        [f32([4, 5], -3, 3), u32([4], 5)],
        (a, b) => mean(softmaxCrossEntropy(a, b)),
      ),
    ],
  },
  crossEntropyProbabilities: {
    evaluate: (value, inputs) => rowsOf(value, at(inputs, 1)).flatMap(softmax),
    enclose: (value, inputs) =>
      rowsOf(value, at(inputs, 1)).flatMap((row) => {
        const { powers, total } = weightsOf(row);
        return powers.map((power) => div(power, total));
      }),
  },
  crossEntropyGradient: {
    evaluate: (value, [probabilities = [], labels = [], scale = []]) =>
      rowsOf(value, probabilities).flatMap((row, index) =>
        row.map((probability, which) => {
          const factor = at(scale, scale.length === 1 ? 0 : index);
          return factor === 0 ? 0 : (probability - Number(which === at(labels, index))) * factor;
        })
      ),
    enclose: (value, [probabilities = [], labels = [], scales = []]) =>
      enclosedGradient(value, probabilities, labels, scales),
  },
};

function softmax(row: readonly number[]): number[] {
  const largest = row.reduce((most, x) => Math.max(most, x), -Infinity);
  const powers = row.map((x) => Math.exp(x - largest));
  const total = powers.reduce((terms, x) => terms + x, 0);
  return powers.map((power) => power / total);
}

function enclosed(op: string, x: Enclosure, y: Enclosure = ONLY_NAN): Enclosure {
  return twinOf(op).enclose(x, y);
}

/** The largest logit of a row, and the sum of the exponentials of what is below it. */
function weightsOf(row: readonly Enclosure[]): { powers: Enclosure[]; largest: Enclosure; total: Enclosure } {
  const largest = row.reduce((x, y) => enclosed("maximum", x, y));
  const powers = row.map((x) => enclosed("exp", enclosed("sub", x, largest)));
  return { powers, largest, total: sum(powers) };
}

function enclosedLoss(row: readonly Enclosure[], label: Enclosure): Enclosure {
  if (label.lo !== label.hi) return ANYTHING;
  const { largest, total } = weightsOf(row);
  const logit = row[label.lo];
  if (logit === undefined) return ONLY_NAN;
  return enclosed("sub", enclosed("log", total), enclosed("sub", logit, largest));
}

/** `(probability - one-hot(label)) * scale`. */
function enclosedGradient(
  value: Value,
  probabilities: Enclosures,
  labels: Enclosures,
  scales: Enclosures,
): Enclosures {
  return rowsOf(value, probabilities).flatMap((row, index) => {
    const label = at(labels, index);
    const scale = at(scales, scales.length === 1 ? 0 : index);
    if (label.lo !== label.hi) return row.map(() => ANYTHING);
    // A scale of 0 gives 0, whatever it is of.
    if (scale.lo === 0 && scale.hi === 0 && !scale.nan) return row.map(() => exactly(0));
    const mayBeZero = scale.lo <= 0 && scale.hi >= 0;
    return row.map((probability, which) => {
      const scaled = label.lo >= row.length
        ? ONLY_NAN
        : mul(enclosed("sub", probability, exactly(Number(which === label.lo))), scale);
      return mayBeZero ? union(scaled, between(-0, 0)) : scaled;
    });
  });
}
