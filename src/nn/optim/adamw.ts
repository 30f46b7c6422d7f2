import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { adamw as adamwKernel } from "../../kernels/optimizer/adamw.ts";
import { describedAs } from "../../base/description.ts";
import { describeSchedule } from "./schedules/schedule.ts";
import { scheduleOf } from "./schedules/schedule_of.ts";
import { requireAtLeast, slotOf } from "./hyperparameters.ts";
import { LEARNING_RATE_OPTION, type LearningRateOption, type Optimizer } from "./optimizer.ts";

/** Options of {@link adamw}. */
export interface AdamWOptions extends LearningRateOption {
  /** Decay of the mean of the gradients. Default 0.9. */
  readonly beta1?: number;
  /** Decay of the mean of their squares. Default 0.999. */
  readonly beta2?: number;
  /** Default 1e-8. */
  readonly epsilon?: number;
  /** Decoupled: the parameter shrinks by `learningRate * weightDecay`. Default 0.01, as in PyTorch. */
  readonly weightDecay?: number;
}

/** Every option of {@link AdamWOptions}. */
export const ADAMW_OPTIONS: OptionNames<AdamWOptions> = {
  ...LEARNING_RATE_OPTION,
  beta1: true,
  beta2: true,
  epsilon: true,
  weightDecay: true,
};

/** Adam with decoupled weight decay (Loshchilov and Hutter 2019), as in PyTorch. */
export function adamw(options: AdamWOptions): Optimizer {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01 } = checkOptions(
    "adamw()",
    options,
    ADAMW_OPTIONS,
    "{ learningRate: 1e-3 }",
  );
  const rate = scheduleOf("adamw", options.learningRate);
  requireAtLeast("adamw", "beta1", beta1, 0, 1);
  requireAtLeast("adamw", "beta2", beta2, 0, 1);
  // The kernel divides by it where a gradient was always 0.
  requireAtLeast("adamw", "epsilon", epsilon, 2 ** -126);
  requireAtLeast("adamw", "weightDecay", weightDecay, 0);
  const optimizer: Optimizer = {
    name: "adamw",
    slots: ["m", "v"],
    decays: [beta1, beta2],
    scalars: (step) => [rate(step)],
    update: ({ parameter, gradient, slots, scalars, verdict }, elementCount) =>
      adamwKernel({
        parameter,
        gradient,
        m: slotOf(slots, 0, "m"),
        v: slotOf(slots, 1, "v"),
        scalars,
        verdict,
      }, { count: elementCount, beta1, beta2, epsilon, weightDecay }),
  };
  const learningRate = describeSchedule(options.learningRate);
  return describedAs(optimizer, { name: "adamw", beta1, beta2, epsilon, weightDecay, learningRate });
}
