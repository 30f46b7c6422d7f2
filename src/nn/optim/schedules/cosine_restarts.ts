import { describedAs } from "../../../base/description.ts";
import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { cosineBetween } from "./cosine_decay.ts";
import { requireRates, requireSteps, type Schedule } from "./schedule.ts";

/** Options of {@link cosineRestarts}. */
export interface CosineRestartsOptions {
  /** How many times as long each cycle is as the one before: an integer from 1. Default 1. */
  readonly growth?: number | undefined;
  /** Where each cycle ends. Default 0. */
  readonly final?: number | undefined;
}

/** Every option of {@link CosineRestartsOptions}. */
export const COSINE_RESTARTS_OPTIONS: OptionNames<CosineRestartsOptions> = { growth: true, final: true };

/**
 * Half a cosine from `initial` down to `final` over the first `steps` steps, then again from `initial`, and so on
 * (Loshchilov and Hutter 2017). PyTorch's `CosineAnnealingWarmRestarts`.
 */
export function cosineRestarts(
  initial: number,
  steps: number,
  options: CosineRestartsOptions = {},
): Schedule {
  const { growth = 1, final = 0 } = checkOptions(
    "cosineRestarts()",
    options,
    COSINE_RESTARTS_OPTIONS,
    "{ growth: 2 }",
  );
  requireSteps("cosineRestarts", steps);
  requireRates("cosineRestarts", { initial, final });
  if (!Number.isSafeInteger(growth) || growth < 1) {
    throw new RangeError(`cosineRestarts: growth is an integer from 1, found ${growth}`);
  }
  const schedule = (step: number): number => {
    const [at, length] = placeInCycle(step, steps, growth);
    return cosineBetween(initial, final, at / length);
  };
  return describedAs(schedule, { name: "cosineRestarts", initial, steps, growth, final });
}

/** How many steps of its cycle are done before step `step`, and how many the cycle has. */
function placeInCycle(step: number, steps: number, growth: number): [at: number, length: number] {
  if (growth === 1) return [step % steps, steps];
  let [at, length] = [step, steps];
  while (at >= length) {
    at -= length;
    length *= growth;
  }
  return [at, length];
}
