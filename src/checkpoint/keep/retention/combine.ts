import type { RetentionRule } from "./rule.ts";

/**
 * Keeps what any of the rules keeps.
 *
 * @throws RangeError for no rule at all, which would keep nothing.
 */
export function anyOf(...rules: readonly RetentionRule[]): RetentionRule {
  requireSome("anyOf", rules);
  return {
    description: rules.map(({ description }) => description).join(", or "),
    keep: (checkpoints) => {
      const kept = new Map<string, string>();
      for (const rule of rules) {
        for (const [tag, reason] of rule.keep(checkpoints)) if (!kept.has(tag)) kept.set(tag, reason);
      }
      return kept;
    },
  };
}

/**
 * Keeps what all of the rules keep.
 *
 * @throws RangeError for no rule at all.
 */
export function allOf(...rules: readonly RetentionRule[]): RetentionRule {
  requireSome("allOf", rules);
  return {
    description: rules.map(({ description }) => description).join(", and "),
    keep: (checkpoints) => {
      const answers = rules.map((rule) => rule.keep(checkpoints));
      const [first = new Map<string, string>()] = answers;
      const common = [...first.keys()].filter((tag) => answers.every((kept) => kept.has(tag)));
      return new Map(common.map((tag) => [tag, answers.map((kept) => kept.get(tag)).join(", and ")]));
    },
  };
}

function requireSome(name: string, rules: readonly RetentionRule[]): void {
  if (rules.length === 0) throw new RangeError(`${name} needs at least one rule`);
}
