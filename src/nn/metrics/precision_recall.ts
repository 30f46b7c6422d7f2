import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { equal, where } from "../../graph/ops/comparison.ts";
import { histogram } from "../../graph/ops/histogram.ts";
import { CLASS_METRIC_OPTIONS, type ClassMetricOptions, classRows } from "./classes.ts";
import type { SetMetric, Totals } from "./metric.ts";

/** How a number for each class becomes one. */
export type ClassAverage = "binary" | "macro" | "micro" | "weighted";

/** Options of {@link precision}, {@link recall} and {@link f1}. */
export interface AveragedMetricOptions extends ClassMetricOptions {
  /**
   * `"binary"`: that of class 1, the default where there are two; `"macro"`: the mean over the classes that are
   * labelled or predicted somewhere, the default where there are more; `"weighted"`: the mean by how often each is
   * labelled; `"micro"`: of all counts together.
   */
  readonly average?: ClassAverage | undefined;
}

/** Every option of {@link AveragedMetricOptions}. */
export const AVERAGED_METRIC_OPTIONS: OptionNames<AveragedMetricOptions> = {
  ...CLASS_METRIC_OPTIONS,
  average: true,
};

type Counts = "correct" | "predicted" | "labelled";

/** Of what was predicted, the part that is right; 0 for a class that never was. */
export function precision(options: AveragedMetricOptions = {}): SetMetric<Counts> {
  return averaged("precision", options, (correct, predicted) => ratio(correct, predicted));
}

/** Of what is labelled, the part that was found; 0 for a class that never is. */
export function recall(options: AveragedMetricOptions = {}): SetMetric<Counts> {
  return averaged("recall", options, (correct, _predicted, labelled) => ratio(correct, labelled));
}

/** The harmonic mean of precision and recall. */
export function f1(options: AveragedMetricOptions = {}): SetMetric<Counts> {
  return averaged("f1", options, (correct, predicted, labelled) => ratio(2 * correct, predicted + labelled));
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

type Score = (correct: number, predicted: number, labelled: number) => number;

function averaged(name: string, options: AveragedMetricOptions, score: Score): SetMetric<Counts> {
  const { average } = checkOptions(`${name}()`, options, AVERAGED_METRIC_OPTIONS, '{ average: "macro" }');
  if (average !== undefined && !["binary", "macro", "micro", "weighted"].includes(average)) {
    throw new RangeError(
      `${name}: average is "binary", "macro", "micro" or "weighted", found ${JSON.stringify(average)}`,
    );
  }
  return {
    count(output, labels) {
      const { classes, labels: labelled, predicted, counts } = classRows(name, output, labels, options);
      if (average === "binary" && classes !== 2) {
        throw new TypeError(
          `${name}: the average "binary" is for two classes, found ${classes}; take "macro"`,
        );
      }
      // A prediction for what does not count is no prediction.
      const said = counts === undefined ? predicted : where(counts, predicted, classes);
      const right = where(equal(said, labelled), labelled, classes);
      return {
        correct: histogram(right, classes),
        predicted: histogram(said, classes),
        labelled: histogram(labelled, classes),
      };
    },
    result: (totals) =>
      averageOf(totals, average ?? (totals.labelled.length === 2 ? "binary" : "macro"), score),
  };
}

function averageOf(
  { correct, predicted, labelled }: Totals<Counts>,
  average: ClassAverage,
  score: Score,
): number {
  const total = (counts: Float64Array): number => counts.reduce((sum, count) => sum + count, 0);
  const scores = Array.from(labelled, (count, at) => score(correct[at] ?? NaN, predicted[at] ?? NaN, count));
  const weights = {
    binary: Float64Array.of(0, 1),
    macro: labelled.map((count, at) => count + (predicted[at] ?? 0) > 0 ? 1 : 0),
    weighted: labelled,
  };
  if (average === "micro") return score(total(correct), total(predicted), total(labelled));
  const sum = scores.reduce((all, each, at) => all + each * (weights[average][at] ?? 0), 0);
  return ratio(sum, total(weights[average]));
}
