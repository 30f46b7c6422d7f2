import { describedAs } from "../../../base/description.ts";
import { requireRates, requireSteps, type Schedule } from "./schedule.ts";

/** `initial`, multiplied by `factor` after every `everySteps` steps. PyTorch's `StepLR`. */
export function stepDecay(initial: number, everySteps: number, factor: number): Schedule {
  requireSteps("stepDecay", everySteps);
  requireRates("stepDecay", { initial, factor });
  return describedAs(
    (step: number) => initial * factor ** Math.floor(step / everySteps),
    { name: "stepDecay", initial, everySteps, factor },
  );
}
