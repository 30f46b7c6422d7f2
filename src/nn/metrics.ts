import { argmax } from "../graph/ops/argmax.ts";
import { cast } from "../graph/ops/cast.ts";
import { equal } from "../graph/ops/comparison.ts";
import type { Value } from "../graph/value.ts";

/**
 * From the model's output and the labels of a batch to one f32 an example, shape `[batch]`; the mean is what
 * is reported.
 */
export type Metric = (output: Value, labels: Value) => Value;

/**
 * 1 where the largest logit is that of the labelled class, 0 elsewhere. Output `[batch, classes]` f32, labels
 * `[batch]` u32.
 */
export function accuracy(): Metric {
  return (output, labels) => cast(equal(argmax(output, { axis: 1 }), labels), "f32");
}
