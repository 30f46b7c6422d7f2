import { checkOptions } from "../../base/options/options.ts";
import { equal } from "../../graph/ops/comparison.ts";
import { constant } from "../../graph/ops/sources.ts";
import { sum } from "../../graph/ops/sum.ts";
import { sizeOf } from "../../graph/value.ts";
import { CLASS_METRIC_OPTIONS, type ClassMetricOptions, classRows } from "./classes.ts";
import type { SetMetric } from "./metric.ts";

/**
 * The part of the labels that have the largest logit. Output `[batch, …, classes]` f32, labels `[batch, …]` of classes
 * or what to expect of every class; or numbers of which each is a yes or a no, and labels of the same shape.
 */
export function accuracy(options: ClassMetricOptions = {}): SetMetric<"correct" | "count"> {
  checkOptions("accuracy()", options, CLASS_METRIC_OPTIONS, "{ ignoreIndex: -100 }");
  return {
    count(output, labels) {
      const rows = classRows("accuracy", output, labels, options);
      // A label that does not count is a class that is never predicted.
      const correct = sum(equal(rows.predicted, rows.labels));
      const count = rows.counts === undefined ? constant(sizeOf(rows.labels), "u32") : sum(rows.counts);
      return { correct, count };
    },
    result: ({ correct, count }) => (correct[0] ?? NaN) / (count[0] ?? NaN),
  };
}
