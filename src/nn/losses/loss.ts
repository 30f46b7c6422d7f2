import type { Value } from "../../graph/value.ts";
import { formatShape } from "../../tensor/shape.ts";

/**
 * From the model's output and the labels of a batch to one f32 an example, shape `[batch]`. The trainer takes
 * the mean; one number an example is what lets it evaluate a batch that is not full.
 *
 * `weights`, f32 of shape `[batch]`, multiply the losses of the examples, 1 for each when left out. An example of weight 0 has loss 0
 * and gives no gradient, whatever its output and labels are, NaN and infinity too.
 */
export type Loss = (output: Value, labels: Value, weights?: Value) => Value;

/** `weights` of `loss`, one f32 for each of `batch` examples; TypeError otherwise. */
export function requireWeights(loss: string, weights: Value, batch: number | undefined): Value {
  if (weights.dtype === "f32" && weights.shape.length === 1 && weights.shape[0] === batch) return weights;
  throw new TypeError(
    `${loss}: takes weights of shape [${batch}] and dtype f32, one an example, ` +
      `found ${weights.dtype} of shape ${formatShape(weights.shape)}`,
  );
}
