import type { CheckpointSummary } from "../../../../src/checkpoint/engine/catalog.ts";
import type { RetentionContext } from "../../../../src/checkpoint/keep/retention/retention.ts";
import type { SavedBy } from "../../../../src/container/format/manifest.ts";
import { OTHER_RUN_ID, RUN_ID } from "../../fixtures.ts";

/** How many situations a property is looked at in. */
export const CASES = 500;
const SEED = 20260101;

/** Choices that are the same for the same seed. */
export class Choices {
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

  /**
   * Checkpoints of one or two runs, some without a step, a time or a metric, with repeated steps and a clock that
   * jumps.
   */
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

  /** What else a plan is told: which one is the newest, which one the run came from, who reads one. */
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
export function forAll(check: (choices: Choices, checkpoints: CheckpointSummary[]) => void): void {
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
