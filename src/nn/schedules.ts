/**
 * The learning rate of update `step`, which counts from 0. A pure function, so that a resumed run goes on
 * with the same rates.
 */
export type Schedule = (step: number) => number;

/** The same rate for ever. */
export function constantRate(rate: number): Schedule {
  return () => rate;
}

/**
 * Half a cosine from `initial` down to `final` (default 0) in `steps` updates; `final` from then on
 * (Loshchilov and Hutter 2017).
 */
export function cosineDecay(initial: number, steps: number, final = 0): Schedule {
  requireSteps("cosineDecay", steps);
  return (step) => final + (initial - final) * 0.5 * (1 + Math.cos(Math.PI * Math.min(1, step / steps)));
}

/**
 * Rises in a line over the first `steps` updates to what `after` says from then on; `after` still counts from
 * the first update.
 */
export function linearWarmup(steps: number, after: number | Schedule): Schedule {
  requireSteps("linearWarmup", steps);
  const target = typeof after === "function" ? after : constantRate(after);
  return (step) => step < steps ? target(step) * ((step + 1) / steps) : target(step);
}

/** `initial`, multiplied by `factor` after every `everySteps` updates. */
export function stepDecay(initial: number, everySteps: number, factor: number): Schedule {
  requireSteps("stepDecay", everySteps);
  return (step) => initial * factor ** Math.floor(step / everySteps);
}

function requireSteps(schedule: string, steps: number): void {
  if (!Number.isSafeInteger(steps) || steps < 1) {
    throw new RangeError(`${schedule}: the number of steps is an integer from 1, found ${steps}`);
  }
}
