import { checkOptions } from "../../base/options/options.ts";
import { add, mul } from "../../graph/ops/arithmetic.ts";
import { histogram } from "../../graph/ops/histogram.ts";
import { reshape } from "../../graph/ops/views.ts";
import { CLASS_METRIC_OPTIONS, type ClassMetricOptions, classRows } from "./classes.ts";
import type { SetMetric } from "./metric.ts";

/**
 * How often each class was taken for each: a table with a row for each label and a column for each prediction. The
 * output and the labels are those of `accuracy`. In an evaluation's report it is among the `tables`.
 */
export function confusionMatrix(options: ClassMetricOptions = {}): SetMetric<"pairs"> {
  checkOptions("confusionMatrix()", options, CLASS_METRIC_OPTIONS, "{ ignoreIndex: -100 }");
  return {
    count(output, labels) {
      const rows = classRows("confusionMatrix", output, labels, options);
      // What does not count has a label behind the last one, and so a pair behind the last one.
      const pairs = add(mul(rows.labels, rows.classes), rows.predicted);
      return { pairs: reshape(histogram(pairs, rows.classes ** 2), [rows.classes, rows.classes]) };
    },
    result({ pairs }) {
      const classes = Math.round(Math.sqrt(pairs.length));
      return Array.from(
        { length: classes },
        (_, label) => [...pairs.slice(label * classes, (label + 1) * classes)],
      );
    },
  };
}
