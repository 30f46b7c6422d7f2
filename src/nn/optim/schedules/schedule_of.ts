import { requireAtLeast } from "../hyperparameters.ts";
import { constantRate } from "./constant_rate.ts";
import type { Schedule } from "./schedule.ts";

/**
 * The schedule that an option says. Throws for a rate that is no number from 0; so does the schedule, before
 * a step with such a rate makes NaN of every weight.
 */
export function scheduleOf(optimizer: string, learningRate: number | Schedule): Schedule {
  if (typeof learningRate === "function") {
    return (step) => {
      const rate = learningRate(step);
      requireAtLeast(optimizer, `the learning rate of step ${step}`, rate, 0);
      return rate;
    };
  }
  requireAtLeast(optimizer, "learningRate", learningRate, 0);
  return constantRate(learningRate);
}
