import { softmaxCrossEntropy } from "../../graph/ops/softmax_cross_entropy.ts";
import { weighted } from "../../graph/ops/weighted.ts";
import { formatShape } from "../../tensor/shape.ts";
import { describedAs } from "../../base/description.ts";
import { type ExampleLoss, requireWeights } from "./loss.ts";

/**
 * Softmax cross-entropy: output `[batch, classes]` f32 (logits), labels `[batch]` u32, each below the number
 * of classes: the trainer refuses others before they reach the GPU, with the example and the value.
 */
export function crossEntropy(): ExampleLoss {
  const loss: ExampleLoss = (output, labels, weights) => {
    if (output.shape.length !== 2) {
      throw new TypeError(
        `crossEntropy: takes logits of shape [batch, classes], found ${formatShape(output.shape)}; ` +
          `end the model with flatten() or a linear layer`,
      );
    }
    const [batch, classes = 0] = output.shape;
    if (labels.dtype !== "u32" || labels.shape.length !== 1 || labels.shape[0] !== batch) {
      throw new TypeError(
        `crossEntropy: takes labels of shape [${batch}] and dtype u32 (the class of each example), ` +
          `found ${labels.dtype} of shape ${formatShape(labels.shape)}`,
      );
    }
    const value = softmaxCrossEntropy(output, labels);
    const range = { loss: "crossEntropy", least: 0, most: classes - 1 };
    if (weights === undefined) return { value, labels: range };
    const weight = requireWeights("crossEntropy", weights, batch);
    return { value: weighted(value, weight), weight, labels: range, isMasked: true };
  };
  return describedAs(loss, { name: "crossEntropy" });
}
