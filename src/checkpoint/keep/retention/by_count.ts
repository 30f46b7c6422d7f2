import { checkCount, type RetentionRule, rule } from "./rule.ts";

/** Keeps everything. */
export function keepAll(): RetentionRule {
  return rule("one of all", (checkpoints) => checkpoints);
}

/**
 * Keeps the newest `count`.
 *
 * @throws RangeError for less than 1.
 */
export function lastN(count: number): RetentionRule {
  checkCount("lastN", count);
  return rule(`one of the last ${count}`, (checkpoints) => checkpoints.slice(-count));
}
