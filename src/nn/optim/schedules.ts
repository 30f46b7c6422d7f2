import { describedAs, type Description, descriptionOf } from "../../base/description.ts";

/**
 * The learning rate of update `step`, which counts from 0. A pure function, so that a resumed run goes on
 * with the same rates.
 */
export type Schedule = (step: number) => number;

/** Updates at which a schedule of somebody else is asked, to tell it from others. */
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

/** The same rate for ever. */
export function constantRate(rate: number): Schedule {
  return describedAs(() => rate, { name: "constantRate", rate });
}

/**
 * Half a cosine from `initial` down to `final` (default 0) in `steps` updates; `final` from then on
 * (Loshchilov and Hutter 2017).
 */
export function cosineDecay(initial: number, steps: number, final = 0): Schedule {
  requireSteps("cosineDecay", steps);
  return describedAs(
    (step: number) => final + (initial - final) * 0.5 * (1 + Math.cos(Math.PI * Math.min(1, step / steps))),
    { name: "cosineDecay", initial, steps, final },
  );
}

/**
 * Rises in a line over the first `steps` updates to what `after` says from then on; `after` still counts from
 * the first update.
 */
export function linearWarmup(steps: number, after: number | Schedule): Schedule {
  requireSteps("linearWarmup", steps);
  const target = typeof after === "function" ? after : constantRate(after);
  return describedAs(
    (step: number) => step < steps ? target(step) * ((step + 1) / steps) : target(step),
    { name: "linearWarmup", steps, after: describeSchedule(after) },
  );
}

/** `initial`, multiplied by `factor` after every `everySteps` updates. */
export function stepDecay(initial: number, everySteps: number, factor: number): Schedule {
  requireSteps("stepDecay", everySteps);
  return describedAs(
    (step: number) => initial * factor ** Math.floor(step / everySteps),
    { name: "stepDecay", initial, everySteps, factor },
  );
}

function requireSteps(schedule: string, steps: number): void {
  if (!Number.isSafeInteger(steps) || steps < 1) {
    throw new RangeError(`${schedule}: the number of steps is an integer from 1, found ${steps}`);
  }
}
