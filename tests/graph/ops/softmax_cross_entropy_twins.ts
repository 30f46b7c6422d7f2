import { mean } from "../../../src/graph/ops/reduce.ts";
import {
  type CrossEntropyAttributes,
  softmaxCrossEntropy,
  type SoftmaxCrossEntropyOptions,
} from "../../../src/graph/ops/softmax_cross_entropy.ts";
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

const CASES: readonly (readonly [name: string, options: SoftmaxCrossEntropyOptions])[] = [
  ["", {}],
  [" with smoothing", { labelSmoothing: 0.2 }],
  [" with weights", { classWeights: [0.5, 2, 1, 0, 3] }],
  [" with smoothing and weights", { labelSmoothing: 0.3, classWeights: [0.5, 2, 1, 0, 3] }],
];

/** Twins of `src/graph/ops/softmax_cross_entropy.ts`. */
export const softmaxCrossEntropyTwins: OpTwins = {
  softmaxCrossEntropy: {
    evaluate: (value, [logits = [], labels = [], weights]) =>
      rowsOf(value, logits).map((row, index) => {
        const largest = row.reduce((most, x) => Math.max(most, x), -Infinity);
        const total = Math.log(row.reduce((terms, x) => terms + Math.exp(x - largest), 0));
        const target = targetOf(value, row.length, at(labels, index), weights);
        if (target === undefined) return NaN;
        return row.reduce((loss, x, which) => loss + at(target, which) * (total + largest - x), 0);
      }),
    enclose: (value, [logits = [], labels = [], weights]) =>
      rowsOf(value, logits).map((row, index) =>
        isPlain(value)
          ? enclosedLoss(row, at(labels, index))
          : enclosedTargetLoss(value, row, at(labels, index), weights)
      ),
    use(maker) {
      const logits = maker.f32(({ shape }) => shape.length === 2 && shape[1] !== 0);
      const [rows = 0, classes = 0] = logits.shape;
      const label = (): number => maker.random.below(maker.random.chance(0.05) ? classes + 1 : classes);
      const labels = HostTensor.from(Array.from({ length: rows }, label), [rows], "u32");
      const labelSmoothing = maker.random.chance(0.7) ? 0 : 0.25;
      const classWeights = maker.random.chance(0.7)
        ? undefined
        : Array.from({ length: classes }, () => maker.random.below(5) / 2);
      const given = maker.named("input", labels);
      return softmaxCrossEntropy(logits, given, { labelSmoothing, classWeights });
    },
    cases: CASES.flatMap(([name, options]) => [
      opCase(
        `softmaxCrossEntropy${name}`,
        [f32([4, 5], -3, 3), u32([4], 5)],
        (a, b) => softmaxCrossEntropy(a, b, options),
      ),
      opCase(
        `mean of softmaxCrossEntropy${name}`,
        [f32([4, 5], -3, 3), u32([4], 5)],
        (a, b) => mean(softmaxCrossEntropy(a, b, options)),
      ),
    ]),
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
    evaluate: (value, [probabilities = [], labels = [], scale = [], weights]) =>
      rowsOf(value, probabilities).flatMap((row, index) => {
        const target = targetOf(value, row.length, at(labels, index), weights);
        const all = target?.reduce((total, each) => total + each, 0) ?? NaN;
        return row.map((probability, which) => {
          const factor = at(scale, scale.length === 1 ? 0 : index);
          return factor === 0 ? 0 : (probability * all - (target?.[which] ?? NaN)) * factor;
        });
      }),
    enclose: (value, [probabilities = [], labels = [], scales = [], weights]) =>
      enclosedGradient(value, probabilities, labels, scales, weights),
  },
};

/** Whether a row is measured against its label alone. */
function isPlain({ attributes, inputs }: Value): boolean {
  const { labelSmoothing } = attributes as CrossEntropyAttributes;
  return labelSmoothing === 0 && inputs.every(({ op }) => op !== "constant");
}

/** What the classes of a row are expected to be, in float64; `undefined` for a label that is no class. */
function targetOf(
  { attributes }: Value,
  classes: number,
  label: number,
  weights: ArrayLike<number> | undefined,
): number[] | undefined {
  const { labelSmoothing } = attributes as CrossEntropyAttributes;
  if (label >= classes) return undefined;
  return Array.from({ length: classes }, (_, which) => {
    const part = labelSmoothing / classes + (which === label ? 1 - labelSmoothing : 0);
    return part * (weights?.[which] ?? 1);
  });
}

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

/** The target of a row within what rounding its few operations allows; `undefined` for a label that is no class. */
function enclosedTarget(
  value: Value,
  classes: number,
  label: number,
  weights: Enclosures | undefined,
): Enclosure[] | undefined {
  const target = targetOf(value, classes, label, weights?.map(({ lo }) => lo));
  return target?.map((part) => part === 0 ? exactly(0) : around(part, 8 * ROUNDING));
}

/** Of half a unit in the last place. */
const ROUNDING = 2 ** -24;

/** `x` with a relative error. */
function around(x: number, relative: number): Enclosure {
  return between(x - relative * Math.abs(x), x + relative * Math.abs(x));
}

/** The losses of all classes, each times its part of the target, in whichever order. */
function enclosedTargetLoss(
  value: Value,
  row: readonly Enclosure[],
  label: Enclosure,
  weights: Enclosures | undefined,
): Enclosure {
  if (label.lo !== label.hi) return ANYTHING;
  const target = enclosedTarget(value, row.length, label.lo, weights);
  if (target === undefined) return ONLY_NAN;
  const { labelSmoothing } = value.attributes as CrossEntropyAttributes;
  // Without smoothing only the label's class is looked at.
  if (labelSmoothing === 0) return mul(at(target, label.lo), enclosedLoss(row, label));
  const { largest, total } = weightsOf(row);
  const logarithm = enclosed("log", total);
  const parts = row.flatMap((x, which) => {
    const part = at(target, which);
    // The kernel sums up the two terms apart.
    return [mul(part, logarithm), mul(part, enclosed("sub", largest, x))];
  });
  const loss = sum(parts);
  // A class of weight 0 whose logit is infinite is 0 times infinity, but not where it is not spread over.
  return row.some(({ lo, hi, nan }) => nan || !Number.isFinite(lo) || !Number.isFinite(hi))
    ? union(loss, ONLY_NAN)
    : loss;
}

/** `(probability * Σ target - target) * scale`. */
function enclosedGradient(
  value: Value,
  probabilities: Enclosures,
  labels: Enclosures,
  scales: Enclosures,
  weights: Enclosures | undefined,
): Enclosures {
  return rowsOf(value, probabilities).flatMap((row, index) => {
    const label = at(labels, index);
    const scale = at(scales, scales.length === 1 ? 0 : index);
    if (label.lo !== label.hi) return row.map(() => ANYTHING);
    // A scale of 0 gives 0, whatever it is of.
    if (scale.lo === 0 && scale.hi === 0 && !scale.nan) return row.map(() => exactly(0));
    const mayBeZero = scale.lo <= 0 && scale.hi >= 0;
    const target = enclosedTarget(value, row.length, label.lo, weights);
    const plain = isPlain(value);
    const all = plain || target === undefined ? exactly(1) : sum(target);
    return row.map((probability, which) => {
      const expected = plain ? exactly(Number(which === label.lo)) : target?.[which] ?? ONLY_NAN;
      const scaled = target === undefined
        ? ONLY_NAN
        : mul(enclosed("sub", mul(probability, all), expected), scale);
      return mayBeZero ? union(scaled, between(-0, 0)) : scaled;
    });
  });
}
