import { describedAs } from "../../../base/description.ts";
import { requireRates, requireSteps, type Schedule, shareOf } from "./schedule.ts";

/** In a line from `initial` to `final` (default 0) in `steps` steps; `final` from then on. PyTorch's `LinearLR`. */
export function linearDecay(initial: number, steps: number, final = 0): Schedule {
  requireSteps("linearDecay", steps);
  requireRates("linearDecay", { initial, final });
  return describedAs(
    (step: number) => initial + (final - initial) * shareOf(step, steps),
    { name: "linearDecay", initial, steps, final },
  );
}
