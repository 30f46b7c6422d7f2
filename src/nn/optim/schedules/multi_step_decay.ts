import { describedAs } from "../../../base/description.ts";
import { requireRates, requireSteps, type Schedule } from "./schedule.ts";

/**
 * `initial`, multiplied by `factor` at each step of `milestones`. PyTorch's `MultiStepLR`: a milestone that is listed
 * twice counts twice.
 */
export function multiStepDecay(initial: number, milestones: readonly number[], factor: number): Schedule {
  for (const milestone of milestones) requireSteps("multiStepDecay", milestone);
  requireRates("multiStepDecay", { initial, factor });
  const passed = [...milestones];
  return describedAs(
    (step: number) => initial * factor ** passed.filter((milestone) => milestone <= step).length,
    { name: "multiStepDecay", initial, milestones: passed, factor },
  );
}
