/**
 * Rules that say which checkpoints are kept: `keep` of the main entry has the same.
 *
 * @example
 * ```ts
 * import { anyOf, everyNSteps, lastN } from "@cairn-ml/cairn/keep";
 *
 * // The last three, and one in a thousand steps forever.
 * const rule = anyOf(lastN(3), everyNSteps(1000));
 * console.log(rule);
 * ```
 *
 * @module
 */
export { keepAll, lastN } from "./by_count.ts";
export { bestN, type BestNOptions } from "./by_metric.ts";
export { closestToGrid, everyNSteps, type EveryNStepsOptions, explicitSteps } from "./by_step.ts";
export { everyNSeconds, latestDuration } from "./by_time.ts";
export { allOf, anyOf } from "./combine.ts";
export type { RankedMetric } from "./metric_direction.ts";
export type { RetentionCandidate, RetentionRule } from "./rule.ts";
