import { describedAs } from "../../../base/description.ts";
import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { requireRates, requireSteps, type Schedule, shareOf } from "./schedule.ts";

/** Options of {@link warmupStableDecay}. */
export interface WarmupStableDecayOptions {
  /** Steps in which the rate rises, from 0. */
  readonly warmupSteps: number;
  /** Steps at the peak, from 0. */
  readonly stableSteps: number;
  /** Steps in which it falls, from 1. */
  readonly decaySteps: number;
  /** The rate afterwards. Default 0. */
  readonly final?: number | undefined;
}

/** Every option of {@link WarmupStableDecayOptions}. */
export const WARMUP_STABLE_DECAY_OPTIONS: OptionNames<WarmupStableDecayOptions> = {
  warmupSteps: true,
  stableSteps: true,
  decaySteps: true,
  final: true,
};

/**
 * Up in a line to `peak`, there for a while, and down in a line to `final` (Hu et al. 2024, MiniCPM; with the line
 * that Hägele et al. 2024 use). What was trained up to the end of the stable part can be trained further, even if the
 * number of steps changes.
 */
export function warmupStableDecay(peak: number, options: WarmupStableDecayOptions): Schedule {
  const { warmupSteps, stableSteps, decaySteps, final = 0 } = checkOptions(
    "warmupStableDecay()",
    options,
    WARMUP_STABLE_DECAY_OPTIONS,
    "{ warmupSteps: 100, stableSteps: 800, decaySteps: 100 }",
  );
  requireSteps("warmupStableDecay", warmupSteps, 0);
  requireSteps("warmupStableDecay", stableSteps, 0);
  requireSteps("warmupStableDecay", decaySteps);
  requireRates("warmupStableDecay", { peak, final });
  const schedule = (step: number): number => {
    if (step < warmupSteps) return peak * ((step + 1) / warmupSteps);
    const decayed = Math.max(0, step - warmupSteps - stableSteps);
    return peak + (final - peak) * shareOf(decayed, decaySteps);
  };
  const described = { name: "warmupStableDecay", peak, warmupSteps, stableSteps, decaySteps, final };
  return describedAs(schedule, described);
}
