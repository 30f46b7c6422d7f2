import { describedAs } from "../../base/description.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { add, mul, neg } from "../../graph/ops/arithmetic.ts";
import { logSoftmax } from "../../graph/ops/softmax.ts";
import { classWeightsTensor, softmaxCrossEntropy } from "../../graph/ops/softmax_cross_entropy.ts";
import { constant } from "../../graph/ops/sources.ts";
import { sum } from "../../graph/ops/sum.ts";
import { reshape } from "../../graph/ops/views.ts";
import type { Value } from "../../graph/value.ts";
import { formatShape, shapesEqual } from "../../tensor/shape.ts";
import { optionDescription } from "./describe_options.ts";
import { classLabels, isClassDType, rowWeights } from "./labels.ts";
import type { ExampleLoss, ExampleLosses } from "./loss.ts";
import { perExample } from "./rows.ts";
import { withoutUnweightedExamples } from "./unweighted_examples.ts";

/** Options of {@link crossEntropy}. */
export interface CrossEntropyLossOptions {
  /** The part of each target that is spread evenly over all classes, from 0 to 1. Default 0. */
  readonly labelSmoothing?: number | undefined;
  /** The label that stands for none: it has no loss and no weight. Default -100 among i32, and none among others. */
  readonly ignoreIndex?: number | undefined;
  /**
   * For how much each class counts, one number a class from 0; the loss is divided by those of the labels. Default 1
   * each.
   */
  readonly weights?: ArrayLike<number> | undefined;
}

/** Every option of {@link CrossEntropyLossOptions}. */
export const CROSS_ENTROPY_LOSS_OPTIONS: OptionNames<CrossEntropyLossOptions> = {
  labelSmoothing: true,
  ignoreIndex: true,
  weights: true,
};

/**
 * Softmax cross-entropy, as PyTorch's: output `[batch, …, classes]` f32, logits; labels `[batch, …]` of classes, u8,
 * i32 or u32, each below the number of classes, or what to expect of every class, f32 of the output's shape.
 *
 * The trainer refuses labels that are no class before they reach the GPU, with the example and the value. Labels that
 * are ignored count nowhere. Weights of classes divide the loss where labels are classes, and only multiply it where
 * they are f32; an example whose class has the weight 0 has no part at all, its smoothing included.
 *
 * @throws RangeError for smoothing that is not from 0 to 1; when it is first used, for weights of another number of
 * classes.
 */
export function crossEntropy(options: CrossEntropyLossOptions = {}): ExampleLoss {
  const { labelSmoothing = 0 } = checkOptions(
    "crossEntropy()",
    options,
    CROSS_ENTROPY_LOSS_OPTIONS,
    "{ labelSmoothing: 0.1 }",
  );
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1)) {
    throw new RangeError(`crossEntropy: labelSmoothing is a number from 0 to 1, found ${labelSmoothing}`);
  }
  const loss: ExampleLoss = (output, labels, weights) => {
    const { shape } = output;
    if (shape.length < 2 || output.dtype !== "f32") {
      throw new TypeError(
        `crossEntropy: takes logits of shape [batch, …, classes] and dtype f32, found ${output.dtype} of shape ` +
          `${formatShape(shape)}; end the model with flatten() or a linear layer`,
      );
    }
    const isSoft = labels.dtype === "f32" && shapesEqual(labels.shape, shape);
    return isSoft && !isClassDType(labels)
      ? ofSoftLabels(output, labels, weights, options)
      : ofClasses(output, labels, weights, options);
  };
  return describedAs(loss, optionDescription("crossEntropy", options, { labelSmoothing: 0 }));
}

/** By the fused kernel, which keeps the softmax for the gradient. */
function ofClasses(
  output: Value,
  labels: Value,
  weights: Value | undefined,
  options: CrossEntropyLossOptions,
): ExampleLosses {
  const [batch = 0] = output.shape;
  const count = output.shape.at(-1) ?? 0;
  const found = classLabels("crossEntropy", output, labels, options.ignoreIndex);
  const table = options.weights === undefined
    ? undefined
    : classWeightsTensor("crossEntropy", options.weights, count);
  const losses = softmaxCrossEntropy(reshape(output, [-1, count]), found.classes, {
    labelSmoothing: options.labelSmoothing,
    classWeights: options.weights,
  });
  return perExample(
    "crossEntropy",
    { losses, weights: rowWeights(found, table) },
    batch,
    weights,
    found.range,
  );
}

function ofSoftLabels(
  output: Value,
  labels: Value,
  weights: Value | undefined,
  { labelSmoothing = 0, ignoreIndex, weights: classWeights }: CrossEntropyLossOptions,
): ExampleLosses {
  if (ignoreIndex !== undefined) {
    throw new TypeError(
      "crossEntropy: ignoreIndex is for labels that are classes; labels of f32 have a row of 0 where nothing counts",
    );
  }
  const [batch = 0] = output.shape;
  const count = output.shape.at(-1) ?? 0;
  const [logits, given] = withoutUnweightedExamples("crossEntropy", [output, labels], weights);
  const smoothed = labelSmoothing === 0 ? given : add(mul(given, 1 - labelSmoothing), labelSmoothing / count);
  const target = classWeights === undefined
    ? smoothed
    : mul(smoothed, constant(classWeightsTensor("crossEntropy", classWeights, count)));
  const losses = neg(sum(mul(target, logSoftmax(logits)), { axes: -1 }));
  return perExample("crossEntropy", { losses: reshape(losses, [-1]), weights: undefined }, batch, weights);
}
