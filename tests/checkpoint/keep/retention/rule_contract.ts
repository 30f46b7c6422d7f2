import { describe, expect, test } from "bun:test";
import type { CheckpointSummary } from "../../../../src/checkpoint/engine/catalog.ts";
import { planRetention } from "../../../../src/checkpoint/keep/retention/retention.ts";
import type { RetentionRule } from "../../../../src/checkpoint/keep/retention/rule.ts";
import { RUN_ID } from "../../fixtures.ts";
import { CASES, type Choices, forAll } from "./choices.ts";

/**
 * What every rule of retention promises, in many situations. `draw` makes one by the function `make`, with figures of
 * its choice. A rule that deletes nothing says so.
 */
export function testRetentionRule(
  make: { readonly name: string },
  draw: (choices: Choices) => RetentionRule,
  { deletes = true }: { readonly deletes?: boolean } = {},
): void {
  describe(`${make.name} as a rule of retention`, () => {
    test("makes a plan that decides about each checkpoint once, gives a reason, and is the same when made again", () => {
      forAll((choices, checkpoints) => {
        const policy = { rule: draw(choices) };
        const context = choices.context(checkpoints);
        const plan = planRetention(checkpoints, policy, context);
        expect(plan.map(({ tag }) => tag)).toEqual(checkpoints.map(({ tag }) => tag));
        expect(plan.every(({ reason }) => reason.length > 3)).toBe(true);
        expect(planRetention(checkpoints, policy, context)).toEqual(plan);
      });
    });

    test("never deletes what is another run's, the newest, leased, the best, or resumed from", () => {
      let deletions = 0;
      forAll((choices, checkpoints) => {
        const context = choices.context(checkpoints);
        const best = { metric: "loss", direction: "min" as const };
        const plan = planRetention(checkpoints, { rule: draw(choices), best }, context);
        const losses = checkpoints.filter(({ runId }) => runId === RUN_ID).map(({ metrics }) =>
          metrics.loss ?? NaN
        );
        const lowest = losses.filter(Number.isFinite).sort((a, b) => (a < b ? -1 : 1))[0];
        const gone = new Set(plan.filter(({ keeps }) => !keeps).map(({ tag }) => tag));
        deletions += gone.size;
        for (const { tag, runId } of checkpoints.filter((each) => gone.has(each.tag))) {
          expect(runId).toBe(RUN_ID);
          expect([context.newest, context.resumedFrom]).not.toContain(tag);
          expect(context.leased?.has(tag)).toBe(false);
        }
        if (lowest === undefined) return;
        const left = checkpoints.filter(({ tag, runId }) => runId === RUN_ID && !gone.has(tag));
        expect(left.some(({ metrics }) => metrics.loss === lowest)).toBe(true);
      });
      expect(deletions > 0).toBe(deletes);
    });

    test("never deletes, nor counts, what was not saved automatically under its very name", () => {
      let untouched = 0;
      forAll((choices, checkpoints) => {
        const context = choices.context(checkpoints);
        const policy = { rule: draw(choices) };
        const isAutomatic = ({ tag, savedBy, savedTag }: CheckpointSummary): boolean =>
          savedBy === "auto" && savedTag === tag;
        const plan = planRetention(checkpoints, policy, context);
        const alone = planRetention(checkpoints.filter(isAutomatic), policy, context);
        const keeps = new Map(alone.map(({ tag, keeps }) => [tag, keeps]));
        for (const { tag, keeps: isKept } of plan) {
          expect(`${tag} ${isKept}`).toBe(`${tag} ${keeps.get(tag) ?? true}`);
          if (!keeps.has(tag)) untouched++;
        }
      });
      expect(untouched).toBeGreaterThan(CASES / 2);
    });

    test("deletes nothing more when its plan is carried out and made again", () => {
      forAll((choices, checkpoints) => {
        const policy = { rule: draw(choices) };
        const context = choices.context(checkpoints);
        const kept = new Set(
          planRetention(checkpoints, policy, context).filter(({ keeps }) => keeps).map(({ tag }) => tag),
        );
        const left = checkpoints.filter(({ tag }) => kept.has(tag));
        const again = planRetention(left, policy, context);
        expect(again.filter(({ keeps }) => !keeps)).toEqual([]);
      });
    });
  });
}
