export { keepAll, lastN } from "./by_count.ts";
export { bestN, type BestNOptions } from "./by_metric.ts";
export { closestToGrid, everyNSteps, type EveryNStepsOptions, explicitSteps } from "./by_step.ts";
export { everyNSeconds, latestDuration } from "./by_time.ts";
export { allOf, anyOf } from "./combine.ts";
export type { RankedMetric } from "./metric_direction.ts";
export type { RetentionCandidate, RetentionRule } from "./rule.ts";
