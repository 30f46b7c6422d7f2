import { square, sub } from "../graph/ops/arithmetic.ts";
import { mean } from "../graph/ops/reduce.ts";
import { softmaxCrossEntropy } from "../graph/ops/softmax_cross_entropy.ts";
import { reshape } from "../graph/ops/views.ts";
import type { Value } from "../graph/value.ts";
import { formatShape, shapesEqual } from "../tensor/shape.ts";

/**
 * From the model's output and the labels of a batch to one f32 an example, shape `[batch]`. The trainer takes
 * the mean; one number an example is what lets it evaluate a batch that is not full.
 */
export type Loss = (output: Value, labels: Value) => Value;

/**
 * Softmax cross-entropy: output `[batch, classes]` f32 (logits), labels `[batch]` u32, each below the number
 * of classes: the trainer refuses others before they reach the GPU, with the example and the value.
 */
export function crossEntropy(): Loss {
  return (output, labels) => {
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
    return softmaxCrossEntropy(output, labels);
  };
}

/** Mean squared error of each example: output and labels are f32 of one shape `[batch, …]`. */
export function mse(): Loss {
  return (output, labels) => {
    const [batch = 0] = output.shape;
    if (output.dtype !== labels.dtype || !shapesEqual(output.shape, labels.shape)) {
      const [found, expected] = [output, labels].map(({ dtype, shape }) => `${dtype} ${formatShape(shape)}`);
      throw new TypeError(
        `mse: output and labels have one shape and dtype, found ${found} and ${expected}; ` +
          `labels of one number an example are a tensor of shape [examples, 1]`,
      );
    }
    return mean(reshape(square(sub(output, labels)), [batch, -1]), { axes: [1] });
  };
}
