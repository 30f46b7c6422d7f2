import { square, sub } from "../graph/ops/arithmetic.ts";
import { mean } from "../graph/ops/reduce.ts";
import { softmaxCrossEntropy } from "../graph/ops/softmax_cross_entropy.ts";
import { reshape } from "../graph/ops/views.ts";
import { weighted, withoutUnweighted } from "../graph/ops/weighted.ts";
import type { Value } from "../graph/value.ts";
import { elementCount, formatShape, shapesEqual } from "../tensor/shape.ts";
import { describedAs } from "./description.ts";

/**
 * From the model's output and the labels of a batch to one f32 an example, shape `[batch]`. The trainer takes
 * the mean; one number an example is what lets it evaluate a batch that is not full.
 *
 * `weights`, f32 of shape `[batch]`, multiply the losses of the examples, 1 for each when left out. An example of weight 0 has loss 0
 * and gives no gradient, whatever its output and labels are, NaN and infinity too.
 */
export type Loss = (output: Value, labels: Value, weights?: Value) => Value;

/**
 * Softmax cross-entropy: output `[batch, classes]` f32 (logits), labels `[batch]` u32, each below the number
 * of classes: the trainer refuses others before they reach the GPU, with the example and the value.
 */
export function crossEntropy(): Loss {
  const loss: Loss = (output, labels, weights) => {
    if (output.shape.length !== 2) {
      throw new TypeError(
        `crossEntropy: takes logits of shape [batch, classes], found ${formatShape(output.shape)}; ` +
          `end the model with flatten() or a linear layer`,
      );
    }
    const [batch] = output.shape;
    if (labels.dtype !== "u32" || labels.shape.length !== 1 || labels.shape[0] !== batch) {
      throw new TypeError(
        `crossEntropy: takes labels of shape [${batch}] and dtype u32 (the class of each example), ` +
          `found ${labels.dtype} of shape ${formatShape(labels.shape)}`,
      );
    }
    const losses = softmaxCrossEntropy(output, labels);
    return weights === undefined ? losses : weighted(losses, requireWeights("crossEntropy", weights, batch));
  };
  return describedAs(loss, { name: "crossEntropy" });
}

/** Mean squared error of each example: output and labels are f32 of one shape `[batch, …]`. */
export function mse(): Loss {
  const loss: Loss = (output, labels, weights) => {
    const [batch = 0, ...rest] = output.shape;
    if (output.dtype !== labels.dtype || !shapesEqual(output.shape, labels.shape)) {
      const [found, expected] = [output, labels].map(({ dtype, shape }) => `${dtype} ${formatShape(shape)}`);
      throw new TypeError(
        `mse: output and labels have one shape and dtype, found ${found} and ${expected}; ` +
          `labels of one number an example are a tensor of shape [examples, 1]`,
      );
    }
    const differences = reshape(sub(output, labels), [batch, elementCount(rest)]);
    if (weights === undefined) return mean(square(differences), { axes: [1] });
    const perRow = reshape(requireWeights("mse", weights, batch), [batch, 1]);
    // Before they are squared: the gradient of a square multiplies by what was squared.
    const counted = withoutUnweighted(differences, perRow);
    return weighted(mean(square(counted), { axes: [1] }), weights);
  };
  return describedAs(loss, { name: "mse" });
}

function requireWeights(loss: string, weights: Value, batch: number | undefined): Value {
  if (weights.dtype === "f32" && weights.shape.length === 1 && weights.shape[0] === batch) return weights;
  throw new TypeError(
    `${loss}: takes weights of shape [${batch}] and dtype f32, one an example, ` +
      `found ${weights.dtype} of shape ${formatShape(weights.shape)}`,
  );
}
