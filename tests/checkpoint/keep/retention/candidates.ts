import type { RetentionCandidate, RetentionRule } from "../../../../src/checkpoint/keep/retention/rule.ts";

// What the tests of the rules choose from.

type Fields = Partial<Omit<RetentionCandidate, "tag">>;

/** A checkpoint of which nothing is known but what is given. */
export function candidate(tag: string, fields: Fields = {}): RetentionCandidate {
  return { tag, step: undefined, timeMs: undefined, metrics: {}, ...fields };
}

/** Checkpoints by their steps. */
export function atSteps(...steps: readonly number[]): RetentionCandidate[] {
  return steps.map((step) => candidate(String(step), { step }));
}

/** Checkpoints by the seconds at which they were saved. */
export function atSeconds(...seconds: readonly number[]): RetentionCandidate[] {
  return seconds.map((second, index) => candidate(`${index}`, { step: index, timeMs: second * 1000 }));
}

/** The tags that a rule keeps, in the order of the checkpoints. */
export function kept(rule: RetentionRule, checkpoints: readonly RetentionCandidate[]): string[] {
  const tags = rule.keep(checkpoints);
  return checkpoints.map(({ tag }) => tag).filter((tag) => tags.has(tag));
}
