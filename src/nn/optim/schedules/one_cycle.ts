import { describedAs } from "../../../base/description.ts";
import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { requireAtLeast } from "../hyperparameters.ts";
import { cosineBetween } from "./cosine_decay.ts";
import { requireRates, requireSteps, type Schedule } from "./schedule.ts";

/** Options of {@link oneCycle}, with PyTorch's defaults. */
export interface OneCycleOptions {
  /** Which part of the steps the rate rises in, above 0 and below 1. Default 0.3. */
  readonly warmupShare?: number | undefined;
  /** The first rate is `peak / divisor`. Default 25. */
  readonly divisor?: number | undefined;
  /** The last rate is the first one divided by this. Default 10,000. */
  readonly finalDivisor?: number | undefined;
  /** By which curve it rises and falls. Default `"cosine"`. */
  readonly curve?: "cosine" | "linear" | undefined;
}

/** Every option of {@link OneCycleOptions}. */
export const ONE_CYCLE_OPTIONS: OptionNames<OneCycleOptions> = {
  warmupShare: true,
  divisor: true,
  finalDivisor: true,
  curve: true,
};

/**
 * One cycle of `steps` steps: up from `peak / divisor` to `peak`, then down to nearly 0, where it stays (Smith and
 * Topin 2018). The rates of PyTorch's `OneCycleLR`, which also moves the momentum unless told otherwise; this does
 * not.
 */
export function oneCycle(peak: number, steps: number, options: OneCycleOptions = {}): Schedule {
  const { warmupShare = 0.3, divisor = 25, finalDivisor = 1e4, curve = "cosine" } = checkOptions(
    "oneCycle()",
    options,
    ONE_CYCLE_OPTIONS,
    "{ warmupShare: 0.3 }",
  );
  requireSteps("oneCycle", steps);
  requireRates("oneCycle", { peak });
  requireAtLeast("oneCycle", "warmupShare", warmupShare, 2 ** -52, 1);
  requireAtLeast("oneCycle", "divisor", divisor, 1);
  requireAtLeast("oneCycle", "finalDivisor", finalDivisor, 1);
  if (curve !== "cosine" && curve !== "linear") {
    throw new RangeError(`oneCycle: curve is "cosine" or "linear", found ${JSON.stringify(curve)}`);
  }
  const between = curve === "cosine" ? cosineBetween : lineBetween;
  const initial = peak / divisor;
  const final = initial / finalDivisor;
  // Steps, not counts, as in PyTorch: the last of `steps` has the last rate.
  const top = warmupShare * steps - 1;
  const schedule = (step: number): number => {
    if (top > 0 && step <= top) return between(initial, peak, step / top);
    return between(peak, final, Math.min(1, (step - top) / (steps - 1 - top)));
  };
  const described = { name: "oneCycle", peak, steps, warmupShare, divisor, finalDivisor, curve };
  return describedAs(schedule, described);
}

function lineBetween(from: number, to: number, share: number): number {
  return from + (to - from) * share;
}
