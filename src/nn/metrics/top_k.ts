import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import {
  equal,
  greater,
  isNaNValue,
  less,
  logicalAnd,
  logicalNot,
  logicalOr,
  where,
} from "../../graph/ops/comparison.ts";
import { takeAlongAxis } from "../../graph/ops/indexing/take.ts";
import { constant } from "../../graph/ops/sources.ts";
import { sum } from "../../graph/ops/sum.ts";
import { reshape } from "../../graph/ops/views.ts";
import { sizeOf, type Value } from "../../graph/value.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import { classLabels } from "../losses/labels.ts";
import type { SetMetric } from "./metric.ts";

/** Options of {@link topK}. */
export interface TopKMetricOptions {
  /** How many classes may be named. Default 5. */
  readonly k?: number | undefined;
  /** The label that stands for none and is not counted. Default -100 among i32, and none among others. */
  readonly ignoreIndex?: number | undefined;
}

/** Every option of {@link TopKMetricOptions}. */
export const TOP_K_METRIC_OPTIONS: OptionNames<TopKMetricOptions> = { k: true, ignoreIndex: true };

/**
 * The part of the labels whose logit is among the `k` largest. Of equal logits the first ones are taken for larger, and
 * NaN for largest, as `argmax` does. Output `[batch, …, classes]` f32, labels `[batch, …]` of classes.
 */
export function topK(options: TopKMetricOptions = {}): SetMetric<"correct" | "count"> {
  const { k = 5, ignoreIndex } = checkOptions("topK()", options, TOP_K_METRIC_OPTIONS, "{ k: 3 }");
  if (!Number.isSafeInteger(k) || k < 1) throw new RangeError(`topK: k is an integer from 1, found ${k}`);
  return {
    count(output, labels) {
      const found = classLabels("topK", output, labels, ignoreIndex);
      const isNear = less(sum(isBefore(output, found.classes), { axes: 1 }), k);
      if (found.isIgnored === undefined) {
        return { correct: sum(isNear), count: constant(sizeOf(isNear), "u32") };
      }
      const counts = logicalNot(found.isIgnored);
      return { correct: sum(logicalAnd(isNear, counts)), count: sum(counts) };
    },
    result: ({ correct, count }) => (correct[0] ?? NaN) / (count[0] ?? NaN),
  };
}

/** 1 for each class that is named before the label's, `[rows, classes]`. */
function isBefore(output: Value, labels: Value): Value {
  const classes = output.shape.at(-1) ?? 0;
  const numbers = constant(
    HostTensor.from(Uint32Array.from({ length: classes }, (_, index) => index), [classes]),
  );
  const logits = reshape(output, [-1, classes]);
  const label = reshape(labels, [-1, 1]);
  const own = takeAlongAxis(logits, label, { axis: 1 });
  const isFirst = less(numbers, label);
  const ofNumbers = logicalOr(greater(logits, own), logicalAnd(equal(logits, own), isFirst));
  // Of two NaN the first, and no number is before one.
  const ofNaN = where(isNaNValue(own), logicalAnd(isNaNValue(logits), isFirst), isNaNValue(logits));
  return logicalOr(ofNumbers, ofNaN);
}
