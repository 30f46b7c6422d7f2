import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import type { UpdateBinding } from "../../graph/program.ts";
import { scheduleFree } from "../../kernels/optimizer/schedule_free.ts";
import { AVERAGE_SLOT } from "../../tensor/group_names.ts";
import { groupedOptimizer, type ScalarsOfRate, unscaled } from "./grouped_optimizer.ts";
import { requireDecays, requireEpsilon, slotOf } from "./hyperparameters.ts";
import type { Optimizer } from "./optimizer.ts";
import { OPTIMIZER_OPTIONS, type OptimizerOptions } from "./optimizer_options.ts";
import type { Schedule } from "./schedules/schedule.ts";

/**
 * Options of {@link scheduleFreeAdamw}. Default rate 0.0025, default decay 0: it is added to the direction, times the
 * parameter.
 */
export interface ScheduleFreeAdamwOptions extends OptimizerOptions {
  /** How near to the average gradients are taken: 0 is where the steps lead, 1 the average. Default 0.9. */
  readonly beta1?: number | undefined;
  /** Decay of the mean of the squares of the gradients. Default 0.999. */
  readonly beta2?: number | undefined;
  /** Default 1e-8. */
  readonly epsilon?: number | undefined;
}

/** Every option of {@link ScheduleFreeAdamwOptions}. */
export const SCHEDULE_FREE_ADAMW_OPTIONS: OptionNames<ScheduleFreeAdamwOptions> = {
  ...OPTIMIZER_OPTIONS,
  beta1: true,
  beta2: true,
  epsilon: true,
};

/**
 * Schedule-free AdamW (Defazio et al. 2024, "The Road Less Scheduled", algorithm 1), with the defaults of its authors'
 * code: no decay of the rate is needed, as the model is evaluated and exported with the average of all points that the
 * steps led to (the slot `average`). A warm-up is needed: `learningRate: optim.linearWarmup(100, 0.0025)`.
 *
 * A point counts in the average by the square of its step's rate. That goes by the number of the step, as schedules do:
 * a batch that was skipped is one.
 */
export function scheduleFreeAdamw(options: ScheduleFreeAdamwOptions = {}): Optimizer {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } = checkOptions(
    "scheduleFreeAdamw()",
    options,
    SCHEDULE_FREE_ADAMW_OPTIONS,
    "{ learningRate: 0.0025 }",
  );
  requireDecays("scheduleFreeAdamw", { beta1, beta2 });
  requireEpsilon("scheduleFreeAdamw", epsilon);
  return groupedOptimizer({
    name: "scheduleFreeAdamw",
    options,
    defaults: { learningRate: 0.0025, weightDecay: 0 },
    slots: ["v", "z", AVERAGE_SLOT],
    decays: [beta2],
    scalarsOfRate: { count: 2, of: rateAndShare },
    described: { beta1, beta2, epsilon },
    update: ({ slots, ...bindings }, { count }, group) => [
      scheduleFree<UpdateBinding>(
        {
          ...bindings,
          v: slotOf(slots, 0, "v"),
          z: slotOf(slots, 1, "z"),
          average: slotOf(slots, 2, AVERAGE_SLOT),
        },
        { count, ...group, beta1, beta2, epsilon },
      ),
    ],
  });
}

/** The rate of a step, and its square by the sum of the squares of all rates up to it. */
function rateAndShare(schedule: Schedule): ScalarsOfRate {
  // Known up to some step, as steps follow each other, and for one scale.
  let next = 0;
  let sum = 0;
  let known: Schedule | undefined;
  return (step, scaleOf = unscaled) => {
    if (step < next || known !== scaleOf) [next, sum, known] = [0, 0, scaleOf];
    const rateOf: Schedule = (at) => schedule(at) * scaleOf(at);
    for (; next <= step; next++) sum += rateOf(next) ** 2;
    const rate = rateOf(step);
    return [rate, sum === 0 ? 0 : rate ** 2 / sum];
  };
}
