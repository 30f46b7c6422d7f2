import { argmax } from "../../graph/ops/argmax.ts";
import { cast } from "../../graph/ops/cast.ts";
import { equal } from "../../graph/ops/comparison.ts";
import type { Metric } from "./metric.ts";

/**
 * 1 where the largest logit is that of the labelled class, 0 elsewhere. Output `[batch, classes]` f32, labels
 * `[batch]` u32.
 */
export function accuracy(): Metric {
  return (output, labels) => cast(equal(argmax(output, { axis: 1 }), labels), "f32");
}
