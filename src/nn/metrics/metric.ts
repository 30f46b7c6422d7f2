import type { Value } from "../../graph/value.ts";

/**
 * From the model's output and the labels of a batch to one f32 an example, shape `[batch]`; the mean is what
 * is reported.
 */
export type Metric = (output: Value, labels: Value) => Value;
