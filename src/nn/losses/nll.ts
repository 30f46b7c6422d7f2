import { describedAs } from "../../base/description.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { mul, neg } from "../../graph/ops/arithmetic.ts";
import { takeAt } from "../../graph/ops/indexing/take_and_scatter.ts";
import { take } from "../../graph/ops/indexing/take.ts";
import { classWeightsTensor } from "../../graph/ops/softmax_cross_entropy.ts";
import { constant } from "../../graph/ops/sources.ts";
import { reshape } from "../../graph/ops/views.ts";
import { formatShape } from "../../tensor/shape.ts";
import { optionDescription } from "./describe_options.ts";
import { classLabels, rowWeights } from "./labels.ts";
import type { ExampleLoss } from "./loss.ts";
import { perExample } from "./rows.ts";

/** Options of {@link nll}. */
export interface NllOptions {
  /** The label that stands for none: it has no loss and no weight. Default -100 among i32, and none among others. */
  readonly ignoreIndex?: number | undefined;
  /**
   * For how much each class counts, one number a class from 0; the loss is divided by those of the labels. Default 1
   * each.
   */
  readonly weights?: ArrayLike<number> | undefined;
}

/** Every option of {@link NllOptions}. */
export const NLL_OPTIONS: OptionNames<NllOptions> = { ignoreIndex: true, weights: true };

/**
 * Negative log-likelihood, as PyTorch's `NLLLoss`: `-x[label]`. Output `[batch, …, classes]` f32 are logarithms of
 * probabilities, such as `logSoftmax` gives; labels `[batch, …]` of classes, u8, i32 or u32. Of logits, `crossEntropy`
 * is the same in fewer and more exact steps.
 */
export function nll(options: NllOptions = {}): ExampleLoss {
  checkOptions("nll()", options, NLL_OPTIONS, "{ ignoreIndex: -100 }");
  const loss: ExampleLoss = (output, labels, weights) => {
    if (output.shape.length < 2 || output.dtype !== "f32") {
      throw new TypeError(
        `nll: takes logarithms of probabilities of shape [batch, …, classes] and dtype f32, found ${output.dtype} ` +
          `of shape ${formatShape(output.shape)}`,
      );
    }
    const [batch = 0] = output.shape;
    const count = output.shape.at(-1) ?? 0;
    const found = classLabels("nll", output, labels, options.ignoreIndex);
    const rows = reshape(output, [-1, count]);
    const places = reshape(found.classes, [-1, 1]);
    // Each row has a place of its own, so that the gradient is written and not added up.
    const taken = takeAt(rows, places, places.shape, { axis: 1, isShared: false, isUnique: true });
    const losses = neg(reshape(taken, [-1]));
    if (options.weights === undefined) {
      return perExample(
        "nll",
        { losses, weights: rowWeights(found, undefined) },
        batch,
        weights,
        found.range,
      );
    }
    const table = classWeightsTensor("nll", options.weights, count);
    const weighed = {
      losses: mul(losses, take(constant(table), found.classes)),
      weights: rowWeights(found, table),
    };
    return perExample("nll", weighed, batch, weights, found.range);
  };
  return describedAs(loss, optionDescription("nll", options));
}
