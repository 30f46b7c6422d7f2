import { argmax } from "../../graph/ops/argmax.ts";
import { cast } from "../../graph/ops/cast.ts";
import { equal } from "../../graph/ops/comparison.ts";
import { constant } from "../../graph/ops/sources.ts";
import { sum } from "../../graph/ops/sum.ts";
import { sizeOf } from "../../graph/value.ts";
import type { SetMetric } from "./metric.ts";

/**
 * The part of the labels that have the largest logit. Output `[batch, …, classes]` f32, labels `[batch, …]` of classes.
 */
export function accuracy(): SetMetric<"correct" | "count"> {
  return {
    count: (output, labels) => ({
      correct: sum(equal(argmax(output), cast(labels, "u32"))),
      count: constant(sizeOf(labels), "u32"),
    }),
    result: ({ correct, count }) => (correct[0] ?? NaN) / (count[0] ?? NaN),
  };
}
