import { describedAs } from "../../../base/description.ts";
import { requireRates, requireSteps, type Schedule, shareOf } from "./schedule.ts";

/**
 * Half a cosine from `initial` down to `final` (default 0) in `steps` steps; `final` from then on
 * (Loshchilov and Hutter 2017). PyTorch's `CosineAnnealingLR`, which rises again afterwards.
 */
export function cosineDecay(initial: number, steps: number, final = 0): Schedule {
  requireSteps("cosineDecay", steps);
  requireRates("cosineDecay", { initial, final });
  return describedAs(
    (step: number) => cosineBetween(initial, final, shareOf(step, steps)),
    { name: "cosineDecay", initial, steps, final },
  );
}

/** What is on the half cosine from `from` to `to` after `share` of it. */
export function cosineBetween(from: number, to: number, share: number): number {
  return to + (from - to) * 0.5 * (1 + Math.cos(Math.PI * share));
}
