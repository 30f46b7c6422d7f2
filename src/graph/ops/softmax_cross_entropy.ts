import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { softmaxCrossEntropy as launchCrossEntropy } from "../../kernels/loss/softmax_cross_entropy.ts";
import { softmaxCrossEntropyGradient } from "../../kernels/loss/softmax_cross_entropy_gradient.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import { formatShape } from "../../tensor/shape.ts";
import { createValue, isResultOf } from "../create_value.ts";
import { type Binding, item, type OpDefinition, type Region } from "../op.ts";
import { sizeOf, type Value } from "../value.ts";
import { add, mul, sub } from "./arithmetic.ts";
import { ones } from "./fill.ts";
import { take } from "./indexing/take.ts";
import { requireDType } from "./requirements.ts";
import { constant } from "./sources.ts";
import { sum, sumTo } from "./sum.ts";
import { broadcastToOp, reshape } from "./views.ts";
import { weighted } from "./weighted.ts";

/** Options of {@link softmaxCrossEntropy}. */
export interface SoftmaxCrossEntropyOptions {
  /** The part of the target that is spread evenly over all classes, from 0 to 1. Default 0. */
  readonly labelSmoothing?: number | undefined;
  /** For how much each class counts in the target, one number a class. Default 1 each. */
  readonly classWeights?: ArrayLike<number> | undefined;
}

/** Every option of {@link SoftmaxCrossEntropyOptions}. */
export const SOFTMAX_CROSS_ENTROPY_OPTIONS: OptionNames<SoftmaxCrossEntropyOptions> = {
  labelSmoothing: true,
  classWeights: true,
};

/**
 * Cross-entropy of `logits` `[rows, classes]`, `f32`, against `labels` `[rows]`, `u32` below `classes`: one loss a
 * row, `[rows]`, `f32`: `log Σ e^logit - logit[label]`. Take the mean over it for the usual loss. Rows are left out
 * by a weight of 0, with `weighted`: no gradient flows into them then, whatever their logits and labels are.
 *
 * With label smoothing and weights of classes it is PyTorch's `cross_entropy` before its mean: the losses of all
 * classes, that of the label times `(1 - smoothing) weight[label]` and each times
 * `smoothing / classes weight[class]`.
 */
export function softmaxCrossEntropy(
  logits: Value,
  labels: Value,
  options: SoftmaxCrossEntropyOptions = {},
): Value {
  const { labelSmoothing = 0, classWeights } = checkOptions(
    "softmaxCrossEntropy()",
    options,
    SOFTMAX_CROSS_ENTROPY_OPTIONS,
    "{ labelSmoothing: 0.1 }",
  );
  requireDType("softmaxCrossEntropy", logits, ["f32"]);
  requireDType("softmaxCrossEntropy", labels, ["u32"]);
  const [rows, classes] = logits.shape;
  if (
    logits.shape.length !== 2 || labels.shape.length !== 1 || labels.shape[0] !== rows || rows === undefined
  ) {
    throw new TypeError(
      `softmaxCrossEntropy: takes logits [rows, classes] and labels [rows], not ` +
        `${formatShape(logits.shape)} and ` +
        `${formatShape(labels.shape)}; reshape them`,
    );
  }
  if (classes === 0 || classes === undefined) {
    throw new TypeError(
      `softmaxCrossEntropy: logits of shape ${formatShape(logits.shape)} have no class to choose from`,
    );
  }
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1)) {
    throw new RangeError(`softmaxCrossEntropy: labelSmoothing is from 0 to 1, found ${labelSmoothing}`);
  }
  if (classWeights === undefined) {
    const attributes = { labelSmoothing, totalWeight: classes };
    return createValue(softmaxCrossEntropyOp, [logits, labels], attributes, "f32", [rows]);
  }
  const weights = classWeightsTensor("softmaxCrossEntropy", classWeights, classes);
  const totalWeight = Array.from(classWeights).reduce((total, weight) => total + weight, 0);
  const inputs = [logits, labels, constant(weights)];
  return createValue(softmaxCrossEntropyOp, inputs, { labelSmoothing, totalWeight }, "f32", [rows]);
}

/** The weights of `classes` classes, f32; RangeError for another number of them, and for one below 0. */
export function classWeightsTensor(what: string, weights: ArrayLike<number>, classes: number): HostTensor {
  const found = Float32Array.from(weights);
  if (found.length !== classes) {
    throw new RangeError(`${what}: there are weights of ${found.length} classes, and logits of ${classes}`);
  }
  const wrong = found.find((weight) => !(Number.isFinite(weight) && weight >= 0));
  if (wrong === undefined) return HostTensor.from(found, [classes]);
  throw new RangeError(`${what}: the weight of a class is a number from 0, found ${wrong}`);
}

/** What the rows are measured against, besides their labels. */
export type CrossEntropyAttributes = { readonly labelSmoothing: number; readonly totalWeight: number };

/**
 * d loss = (Σ target softmax(logits) - target) d logits; the target is one-hot(label) where nothing else is asked
 * for. The kernel has the softmax at hand and keeps it if asked. The third input is the weights of the classes.
 */
export const softmaxCrossEntropyOp: OpDefinition<CrossEntropyAttributes> = {
  name: "softmaxCrossEntropy",
  indices: ({ inputs }) => [{ input: 1, below: item(item(inputs, 0).shape, 1) }],
  gradient(value, outGrad) {
    const logits = item(value.inputs, 0);
    const probabilities = createValue(crossEntropyProbabilitiesOp, [value, logits], {}, "f32", logits.shape);
    return [crossEntropyGradient(probabilities, value.inputs.slice(1), outGrad, value.attributes)];
  },
  lowering: {
    kind: "kernel",
    precision: "sums",
    steps(value, context) {
      const [logits, labels, weights] = [item(value.inputs, 0), item(value.inputs, 1), value.inputs[2]];
      const losses = context.regionOf(value);
      const probabilities = context.companionOf(value);
      const dispatch = launchCrossEntropy<Binding>(
        {
          logits: context.regionOf(logits),
          labels: context.regionOf(labels),
          classWeights: weights === undefined ? undefined : context.regionOf(weights),
          losses,
          probabilities,
        },
        { rows: item(logits.shape, 0), classes: item(logits.shape, 1), ...value.attributes },
      );
      return [{ dispatch, writes: probabilities === undefined ? [losses] : [losses, probabilities] }];
    },
  },
};

/** The softmax that the kernel of the first input stores. The second input is what it is a function of. */
export const crossEntropyProbabilitiesOp: OpDefinition = {
  name: "crossEntropyProbabilities",
  gradient(value, outGrad) {
    const terms = weighted(value, outGrad);
    return [undefined, sub(terms, weighted(value, sum(terms, { axes: 1, keepDims: true })))];
  },
  lowering: { kind: "companion" },
};

/** `(Σ target probabilities - target) * scale`, with `scale` `[rows]` or one number. */
function crossEntropyGradient(
  probabilities: Value,
  target: readonly Value[],
  scale: Value,
  attributes: CrossEntropyAttributes,
): Value {
  const repeated = isResultOf(broadcastToOp, scale) ? item(scale.inputs, 0) : scale;
  // The gradient of a mean is one number for every row: the kernel takes it as it is.
  if (sizeOf(repeated) === 1 && repeated !== scale) {
    return crossEntropyGradient(probabilities, target, repeated, attributes);
  }
  const inputs = [probabilities, item(target, 0), scale, ...target.slice(1)];
  return createValue(crossEntropyGradientOp, inputs, attributes, "f32", probabilities.shape);
}

/** For gradients of gradients. */
export const crossEntropyGradientOp: OpDefinition<CrossEntropyAttributes> = {
  name: "crossEntropyGradient",
  gradient(value, outGrad) {
    const [probabilities, labels, scale, weights] = [
      item(value.inputs, 0),
      item(value.inputs, 1),
      item(value.inputs, 2),
      value.inputs[3],
    ];
    const perRow = sizeOf(scale) === 1 ? reshape(scale, [1, 1]) : reshape(scale, [-1, 1]);
    const target = weights === undefined ? [labels] : [labels, weights];
    const unscaled = crossEntropyGradient(probabilities, target, ones([]), value.attributes);
    const scaled = mul(outGrad, perRow);
    return [
      weights === undefined ? scaled : mul(scaled, targetSum(labels, weights, value.attributes)),
      undefined,
      reshape(sumTo(mul(outGrad, unscaled), perRow.shape), scale.shape),
    ];
  },
  lowering: {
    kind: "kernel",
    steps(value, context) {
      const out = context.regionOf(value);
      const inputAt = (index: number): Region => context.regionOf(item(value.inputs, index));
      const classWeights = value.inputs.length > 3 ? inputAt(3) : undefined;
      const bindings = {
        probabilities: inputAt(0),
        labels: inputAt(1),
        scale: inputAt(2),
        classWeights,
        out,
      };
      const dispatch = softmaxCrossEntropyGradient<Binding>(bindings, {
        rows: item(value.shape, 0),
        classes: item(value.shape, 1),
        scale: sizeOf(item(value.inputs, 2)) === 1 ? "scalar" : "row",
        ...value.attributes,
      });
      return [{ dispatch, writes: [out] }];
    },
  },
};

/** What the target of each row adds up to, `[rows, 1]`. */
function targetSum(
  labels: Value,
  weights: Value,
  { labelSmoothing, totalWeight }: CrossEntropyAttributes,
): Value {
  const own = mul(take(weights, labels), 1 - labelSmoothing);
  return reshape(add(own, labelSmoothing / sizeOf(weights) * totalWeight), [-1, 1]);
}
