import { describe, expect, test } from "bun:test";
import type { SavedBy } from "../../../../src/container/format/manifest.ts";
import type { CheckpointSummary } from "../../../../src/checkpoint/engine/catalog.ts";
import { planRetention, type RetentionContext } from "../../../../src/checkpoint/keep/retention/retention.ts";
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
import { OTHER_RUN_ID, RUN_ID } from "../../fixtures.ts";

const CASES = 1000;
const SEED = 20260101;

/** Choices that are the same for the same seed. */
class Choices {
  #state: number;

  constructor(seed: number) {
    // Seeds that follow each other have to begin far apart.
    const mixed = Math.imul(seed ^ (seed >>> 16), 0x45d9f3b);
    this.#state = Math.imul(mixed ^ (mixed >>> 16), 0x45d9f3b) >>> 0;
  }

  /** An integer from 0 to `below` - 1. */
  below(below: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * below);
  }

  of<T>(first: T, ...rest: readonly T[]): T {
    return [first, ...rest][this.below(rest.length + 1)] ?? first;
  }

  /** Checkpoints of one or two runs, some without a step, a time or a metric, with repeated steps and a clock that jumps. */
  checkpoints(): CheckpointSummary[] {
    let step = 0;
    let seconds = 1_000_000;
    return Array.from({ length: this.below(12) }, (_, index) => {
      step += this.below(60);
      seconds += this.of(0, 10, 100, 1000, -500);
      const loss = this.of<number | undefined>(this.below(5), this.below(5), NaN, Infinity, undefined);
      const tag = `t${index}`;
      return {
        tag,
        path: `memory:${tag}.cairn`,
        fileId: tag,
        step: this.below(10) === 0 ? undefined : step,
        createdAt: this.below(10) === 0 ? undefined : new Date(seconds * 1000).toISOString(),
        runId: this.of(RUN_ID, RUN_ID, RUN_ID, OTHER_RUN_ID, undefined),
        metrics: loss === undefined ? {} : { loss },
        savedBy: this.of<SavedBy | undefined>("auto", "auto", "auto", "auto", "auto", "user", undefined),
        savedTag: this.below(10) === 0 ? "another" : tag,
      };
    });
  }

  /** A rule that keeps what it kept when the others are gone. */
  stableRule(): RetentionRule {
    const simple = (): RetentionRule =>
      this.of(
        lastN(1 + this.below(4)),
        everyNSteps(1 + this.below(50)),
        everyNSteps(1 + this.below(50), { mode: "atLeast" }),
        everyNSteps(1 + this.below(50), { maxToKeep: 1 + this.below(3) }),
        closestToGrid(1 + this.below(50)),
        explicitSteps([this.below(100), this.below(100)]),
        everyNSeconds(1 + this.below(500)),
        latestDuration(1 + this.below(500)),
        bestN(1 + this.below(3), "loss", { keepWithoutMetric: this.below(2) === 0 }),
      );
    return this.below(2) === 0 ? simple() : anyOf(simple(), simple());
  }

  context(checkpoints: readonly CheckpointSummary[]): RetentionContext {
    const tag = (): string => `t${this.below(Math.max(1, checkpoints.length))}`;
    const own = checkpoints.filter(({ runId }) => runId === RUN_ID);
    return {
      runId: RUN_ID,
      newest: this.below(4) === 0 ? tag() : own.at(-1)?.tag ?? "none",
      resumedFrom: this.below(2) === 0 ? undefined : tag(),
      leased: new Map(this.below(2) === 0 ? [] : [[tag(), "somebody"]]),
    };
  }
}

/** Calls `check` with many different situations. What fails says which one it was. */
function forAll(check: (choices: Choices, checkpoints: CheckpointSummary[]) => void): void {
  for (let index = 0; index < CASES; index++) {
    const choices = new Choices(SEED + index);
    try {
      check(choices, choices.checkpoints());
    } catch (error) {
      throw new Error(`Case ${SEED + index}: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      });
    }
  }
}

describe("every plan of retention", () => {
  test("decides about each checkpoint once, gives a reason, and is the same when made again", () => {
    forAll((choices, checkpoints) => {
      const policy = { rule: choices.stableRule() };
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
      const plan = planRetention(checkpoints, { rule: choices.stableRule(), best }, context);
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
    expect(deletions).toBeGreaterThan(CASES / 2);
  });

  test("never deletes, nor counts, what was not saved automatically under its very name", () => {
    let untouched = 0;
    forAll((choices, checkpoints) => {
      const context = choices.context(checkpoints);
      const policy = { rule: choices.stableRule() };
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

  test("deletes nothing more when it is carried out and made again", () => {
    forAll((choices, checkpoints) => {
      const policy = { rule: choices.stableRule() };
      const context = choices.context(checkpoints);
      const kept = new Set(
        planRetention(checkpoints, policy, context).filter(({ keeps }) => keeps).map(({ tag }) => tag),
      );
      const left = checkpoints.filter(({ tag }) => kept.has(tag));
      const again = planRetention(left, policy, context);
      expect(again.filter(({ keeps }) => !keeps)).toEqual([]);
    });
  });

  test("anyOf keeps the union and allOf the intersection of what its rules keep", () => {
    forAll((choices, checkpoints) => {
      const candidates = checkpoints.map(({ tag, step, metrics }, index) => ({
        tag,
        step,
        metrics,
        timeMs: index * 1000,
      }));
      const [a, b] = [choices.stableRule(), choices.stableRule()];
      const tags = (rule: RetentionRule): string[] => [...rule.keep(candidates).keys()].sort();
      const both = tags(a).filter((tag) => tags(b).includes(tag));
      expect(tags(anyOf(a, b))).toEqual([...new Set([...tags(a), ...tags(b)])].sort());
      expect(tags(allOf(a, b))).toEqual(both);
      expect(tags(anyOf(a, b))).toEqual(tags(anyOf(b, a)));
      expect(tags(allOf(a, keepAll()))).toEqual(tags(a));
    });
  });
});
