import { describe, expect, test } from "bun:test";
import { keepAll, lastN } from "../../../../src/checkpoint/keep/retention/by_count.ts";
import { bestN } from "../../../../src/checkpoint/keep/retention/by_metric.ts";
import {
  closestToGrid,
  everyNSteps,
  explicitSteps,
} from "../../../../src/checkpoint/keep/retention/by_step.ts";
import { everyNSeconds, latestDuration } from "../../../../src/checkpoint/keep/retention/by_time.ts";
import { allOf, anyOf } from "../../../../src/checkpoint/keep/retention/combine.ts";
import type { RetentionRule } from "../../../../src/checkpoint/keep/retention/rule.ts";
import { atSteps, kept } from "./candidates.ts";
import { type Choices, forAll } from "./choices.ts";
import { testRetentionRule } from "./rule_contract.ts";

function simpleRule(choices: Choices): RetentionRule {
  return choices.of(
    lastN(1 + choices.below(4)),
    everyNSteps(1 + choices.below(50)),
    everyNSteps(1 + choices.below(50), { mode: "atLeast" }),
    closestToGrid(1 + choices.below(50)),
    everyNSeconds(1 + choices.below(500)),
    latestDuration(1 + choices.below(500)),
    bestN(1 + choices.below(3), "loss"),
  );
}

testRetentionRule(anyOf, (choices) => anyOf(simpleRule(choices), simpleRule(choices)));
// Not of `everyNSeconds`, which counts from the one it kept before: the other rule may have let that go.
testRetentionRule(allOf, (choices) => {
  const steps = everyNSteps(1 + choices.below(50));
  return allOf(choices.of(lastN(1 + choices.below(4)), steps), bestN(1 + choices.below(3), "loss"));
});

describe("anyOf and allOf", () => {
  test("keep what any or what all of the rules keep, with the reasons", () => {
    const checkpoints = atSteps(10, 15, 20, 25);
    const [steps, last] = [everyNSteps(10), lastN(2)];
    expect([...anyOf(steps, last).keep(checkpoints)]).toEqual([
      ["10", "at a multiple of 10 steps"],
      ["20", "at a multiple of 10 steps"],
      ["25", "one of the last 2"],
    ]);
    expect([...allOf(steps, last).keep(checkpoints)]).toEqual([
      ["20", "at a multiple of 10 steps, and one of the last 2"],
    ]);
    expect(allOf(steps, last).description).toBe("at a multiple of 10 steps, and one of the last 2");
    expect(kept(anyOf(allOf(steps, last), explicitSteps([15])), checkpoints)).toEqual(["15", "20"]);
  });

  test("refuse an empty list of rules", () => {
    expect(() => anyOf()).toThrow("anyOf needs at least one rule");
    expect(() => allOf()).toThrow(RangeError);
  });

  test("anyOf keeps the union and allOf the intersection of what its rules keep", () => {
    forAll((choices, checkpoints) => {
      const candidates = checkpoints.map(({ tag, step, metrics }, index) => ({
        tag,
        step,
        metrics,
        timeMs: index * 1000,
      }));
      const [a, b] = [simpleRule(choices), simpleRule(choices)];
      const tags = (rule: RetentionRule): string[] => [...rule.keep(candidates).keys()].sort();
      const both = tags(a).filter((tag) => tags(b).includes(tag));
      expect(tags(anyOf(a, b))).toEqual([...new Set([...tags(a), ...tags(b)])].sort());
      expect(tags(allOf(a, b))).toEqual(both);
      expect(tags(anyOf(a, b))).toEqual(tags(anyOf(b, a)));
      expect(tags(allOf(a, keepAll()))).toEqual(tags(a));
    });
  });
});
