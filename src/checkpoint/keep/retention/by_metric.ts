import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { type RankedMetric, rankedMetric } from "./metric_direction.ts";
import { checkCount, type RetentionCandidate, type RetentionRule } from "./rule.ts";

/** Options of {@link bestN}. */
export interface BestNOptions {
  /** Also keep checkpoints that do not have the metric, until one measures them. Default false. */
  readonly keepWithoutMetric?: boolean | undefined;
}

/** Every option of {@link BestNOptions}. */
export const BEST_N_OPTIONS: OptionNames<BestNOptions> = { keepWithoutMetric: true };

/**
 * Keeps the best `count` by a metric; of several metrics, the best `count` by each. Of equally good ones the newer
 * are better. A value that is not finite is never among the best: a loss of -Infinity is an overflow, not a record.
 * Neither is a checkpoint that does not have the metric.
 *
 * @param metrics A name that says its direction (`val_loss`, `accuracy`), or the name with the direction.
 * @throws RangeError for a count below 1, and for a metric whose direction is neither given nor in its name.
 */
export function bestN(
  count: number,
  metrics: string | RankedMetric | readonly (string | RankedMetric)[],
  options: BestNOptions = {},
): RetentionRule {
  checkCount("bestN", count);
  const list = (Array.isArray(metrics) ? metrics : [metrics]) as readonly (string | RankedMetric)[];
  const ranked = list.map(rankedMetric);
  if (ranked.length === 0) throw new RangeError("bestN needs the name of a metric, found an empty list");
  const { keepWithoutMetric = false } = checkOptions("bestN()", options, BEST_N_OPTIONS);
  const phrase = (metric: string): string =>
    count === 1 ? `the best by ${metric}` : `one of the ${count} best by ${metric}`;
  return {
    description: ranked.map(({ metric }) => phrase(metric)).join(" or "),
    keep: (checkpoints) => {
      const kept = new Map<string, string>();
      for (const { metric, direction } of ranked) {
        for (const { tag } of rank(checkpoints, metric, direction).slice(0, count)) {
          if (!kept.has(tag)) kept.set(tag, phrase(metric));
        }
        for (const checkpoint of keepWithoutMetric ? checkpoints : []) {
          const isUnmeasured = valueOf(checkpoint, metric) === undefined && !kept.has(checkpoint.tag);
          if (isUnmeasured) kept.set(checkpoint.tag, `not measured by ${metric}`);
        }
      }
      return kept;
    },
  };
}

/** Best first; without those that have no value to compare. */
function rank(
  checkpoints: readonly RetentionCandidate[],
  metric: string,
  direction: "min" | "max",
): RetentionCandidate[] {
  const sign = direction === "min" ? 1 : -1;
  const measured = checkpoints.flatMap((checkpoint, age) => {
    const value = valueOf(checkpoint, metric);
    return value === undefined || !Number.isFinite(value) ? [] : [{ checkpoint, age, value }];
  });
  measured.sort((a, b) => sign * (a.value - b.value) || b.age - a.age);
  return measured.map(({ checkpoint }) => checkpoint);
}

/** An own property only: a metric may be called `toString`. */
function valueOf({ metrics }: RetentionCandidate, metric: string): number | undefined {
  return Object.hasOwn(metrics, metric) ? metrics[metric] : undefined;
}
