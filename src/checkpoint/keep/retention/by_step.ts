import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { checkCount, type RetentionCandidate, type RetentionRule, rule } from "./rule.ts";

/** Options of {@link everyNSteps}. */
export interface EveryNStepsOptions {
  /**
   * `exact` keeps multiples only. `atLeast` keeps the first checkpoint and then each one that is so many steps after
   * the one kept before, for saves that do not fall on multiples. Default `exact`.
   */
  readonly mode?: "exact" | "atLeast" | undefined;
  /** Keep no more than the newest so many of them. No limit unless given. */
  readonly maxToKeep?: number | undefined;
}

/** Every option of {@link EveryNStepsOptions}. */
export const EVERY_N_STEPS_OPTIONS: OptionNames<EveryNStepsOptions> = { mode: true, maxToKeep: true };

/**
 * Keeps a checkpoint every so many steps. One without a step is not kept by this.
 *
 * @throws RangeError for a number that is no integer from 1.
 */
export function everyNSteps(steps: number, options: EveryNStepsOptions = {}): RetentionRule {
  const { mode = "exact", maxToKeep } = checkOptions("everyNSteps()", options, EVERY_N_STEPS_OPTIONS);
  checkCount("everyNSteps", steps);
  if (maxToKeep !== undefined) checkCount("everyNSteps: maxToKeep", maxToKeep);
  const description = mode === "exact"
    ? `at a multiple of ${steps} steps`
    : `${steps} steps or more after the one kept before`;
  const which = maxToKeep === undefined ? description : `one of the last ${maxToKeep} ${description}`;
  return rule(which, (checkpoints) => {
    const sorted = byStep(checkpoints);
    const kept = mode === "exact" ? sorted.filter(({ step }) => step % steps === 0) : spaced(sorted, steps);
    return kept.slice(maxToKeep === undefined ? 0 : -maxToKeep);
  });
}

/**
 * For each multiple of `steps`, keeps the checkpoint that is closest to it; of two that are equally close the later
 * one. A checkpoint halfway between two multiples counts with the higher one. The newest is always kept.
 *
 * @throws RangeError for a number that is no integer from 1.
 */
export function closestToGrid(steps: number): RetentionRule {
  checkCount("closestToGrid", steps);
  return rule(`the closest to a multiple of ${steps} steps, or the newest`, (checkpoints) => {
    const closest = new Map<number, Stepped>();
    for (const checkpoint of byStep(checkpoints)) {
      const point = Math.floor(checkpoint.step / steps + 0.5) * steps;
      const known = closest.get(point);
      const distance = Math.abs(checkpoint.step - point);
      if (known === undefined || distance <= Math.abs(known.step - point)) closest.set(point, checkpoint);
    }
    return [...closest.values(), ...checkpoints.slice(-1)];
  });
}

/**
 * Keeps the checkpoints of these steps.
 *
 * @throws RangeError for a step that is no integer from 0.
 */
export function explicitSteps(steps: Iterable<number>): RetentionRule {
  const wanted = new Set(steps);
  for (const step of wanted) {
    if (!Number.isSafeInteger(step) || step < 0) {
      throw new RangeError(`explicitSteps takes integers from 0, found ${step}`);
    }
  }
  return rule(
    `at one of the steps ${[...wanted].join(", ") || "(none)"}`,
    (checkpoints) => checkpoints.filter(({ step }) => step !== undefined && wanted.has(step)),
  );
}

type Stepped = RetentionCandidate & { readonly step: number };

/** Those with a step, lowest first; at the same step in the order given. */
function byStep(checkpoints: readonly RetentionCandidate[]): Stepped[] {
  const stepped = checkpoints.filter((checkpoint): checkpoint is Stepped => checkpoint.step !== undefined);
  return stepped.sort((a, b) => a.step - b.step);
}

function spaced(sorted: readonly Stepped[], steps: number): Stepped[] {
  const kept: Stepped[] = [];
  for (const checkpoint of sorted) {
    const last = kept.at(-1);
    if (last === undefined || checkpoint.step >= last.step + steps) kept.push(checkpoint);
  }
  return kept;
}
