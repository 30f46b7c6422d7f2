import type { Run } from "./loop/run.ts";

/** How far a run is trained, in all: whichever comes first. */
export interface Totals {
  readonly epochs?: number | undefined;
  readonly steps?: number | undefined;
}

/** @throws TypeError where there is no total, RangeError for one that is no whole number from 0. */
export function requireTotals({ epochs, steps }: Totals): void {
  if (epochs === undefined && steps === undefined) {
    throw new TypeError(
      "train() needs a total of the run: give it epochs, steps or both, as in { epochs: 10 }",
    );
  }
  for (const [name, total] of Object.entries({ epochs, steps })) {
    if (total === undefined || (Number.isSafeInteger(total) && total >= 0)) continue;
    throw new RangeError(`${name} is an integer from 0, found ${total}`);
  }
}

/** Steps done when the first of the totals is reached. */
export function stepsAtEnd(run: Run, { epochs, steps = Infinity }: Totals): number {
  return Math.min(steps, epochs === undefined ? Infinity : run.stepsAfter(epochs));
}

/** The 1-based epoch in which the run ends. */
export function epochsAtEnd(run: Run, { epochs = Infinity, steps }: Totals): number {
  return steps === undefined ? epochs : Math.min(epochs, run.order.epochOfLast(steps));
}

/** What to tell of a call that leaves nothing to be done. */
export function nothingLeft(run: Run, { epochs, steps }: Totals): string {
  const isOfSteps = steps !== undefined && run.step >= steps;
  const [total, done] = isOfSteps ? [`steps: ${steps}`, run.step] : [`epochs: ${epochs}`, run.epoch];
  return `There was nothing left to train: ${total} is a total of the run, which has done ${done}; ` +
    "give a larger one to go on";
}
