import { describedAs } from "../../../base/description.ts";
import { constantRate } from "./constant_rate.ts";
import { describeSchedule, requireSteps, type Schedule } from "./schedule.ts";

/**
 * Rises in a line over the first `steps` steps to what `after` says from then on; `after` still counts from
 * the first step.
 *
 * @example
 * ```ts
 * const learningRate = optim.linearWarmup(500, optim.cosineDecay(3e-4, 10_000));
 * ```
 */
export function linearWarmup(steps: number, after: number | Schedule): Schedule {
  requireSteps("linearWarmup", steps);
  const target = typeof after === "function" ? after : constantRate(after);
  return describedAs(
    (step: number) => step < steps ? target(step) * ((step + 1) / steps) : target(step),
    { name: "linearWarmup", steps, after: describeSchedule(after) },
  );
}
