import { type Description, descriptionOf } from "../../../base/description.ts";
import { requireAtLeast } from "../hyperparameters.ts";

/**
 * The learning rate of step `step`, which counts from 0. A pure function, so that a resumed run goes on
 * with the same rates.
 */
export type Schedule = (step: number) => number;

/** Steps at which a foreign schedule is asked, to tell it from others. */
const SAMPLED_STEPS = [0, 1, 2, 5, 10, 100, 1000, 10_000];

/** What a learning rate is: the name and options of a schedule from here, or some rates of any other. */
export function describeSchedule(learningRate: number | Schedule): Description {
  if (typeof learningRate === "number") return { name: "constantRate", rate: learningRate };
  return descriptionOf(learningRate) ?? {
    name: "custom",
    rates: SAMPLED_STEPS.map((step) => rateAt(learningRate, step)),
  };
}

/** A table may end, and a function may refuse a step. */
function rateAt(schedule: Schedule, step: number): number | null {
  try {
    const rate: unknown = schedule(step);
    return typeof rate === "number" && Number.isFinite(rate) ? rate : null;
  } catch {
    return null;
  }
}

/** A `RangeError` unless `steps` is an integer from `least`. */
export function requireSteps(schedule: string, steps: number, least = 1): void {
  if (!Number.isSafeInteger(steps) || steps < least) {
    throw new RangeError(`${schedule}: the number of steps is an integer from ${least}, found ${steps}`);
  }
}

/** A `RangeError` unless each of `rates` is a finite number from 0. */
export function requireRates(schedule: string, rates: Readonly<Record<string, number>>): void {
  for (const [name, rate] of Object.entries(rates)) requireAtLeast(schedule, name, rate, 0);
}

/** How much of `steps` steps is over before step `step`, at most 1. */
export function shareOf(step: number, steps: number): number {
  return steps === 0 ? 1 : Math.min(1, step / steps);
}
