import { describedAs } from "../../../base/description.ts";
import { requireRates, type Schedule } from "./schedule.ts";

/** `initial`, multiplied by `factor` after every step. PyTorch's `ExponentialLR`. */
export function exponentialDecay(initial: number, factor: number): Schedule {
  requireRates("exponentialDecay", { initial, factor });
  return describedAs(
    (step: number) => initial * factor ** step,
    { name: "exponentialDecay", initial, factor },
  );
}
