import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { sgd as sgdKernel } from "../../kernels/optimizer/sgd.ts";
import { describedAs } from "../../base/description.ts";
import { describeSchedule } from "./schedules/schedule.ts";
import { scheduleOf } from "./schedules/schedule_of.ts";
import { requireAtLeast, slotOf } from "./hyperparameters.ts";
import { LEARNING_RATE_OPTION, type LearningRateOption, type Optimizer } from "./optimizer.ts";

/** Options of {@link sgd}. */
export interface SgdOptions extends LearningRateOption {
  /** Default 0. */
  readonly momentum?: number;
  /** Nesterov's momentum. Default false. */
  readonly nesterov?: boolean;
  /** Added to the gradient as `weightDecay * parameter`. Default 0. */
  readonly weightDecay?: number;
}

/** Every option of {@link SgdOptions}. */
export const SGD_OPTIONS: OptionNames<SgdOptions> = {
  ...LEARNING_RATE_OPTION,
  momentum: true,
  nesterov: true,
  weightDecay: true,
};

/** Stochastic gradient descent as in PyTorch: `v = momentum * v + g`, `p = p - learningRate * v`. */
export function sgd(options: SgdOptions): Optimizer {
  const { momentum = 0, nesterov = false, weightDecay = 0 } = checkOptions(
    "sgd()",
    options,
    SGD_OPTIONS,
    "{ learningRate: 0.1 }",
  );
  const rate = scheduleOf("sgd", options.learningRate);
  requireAtLeast("sgd", "momentum", momentum, 0, 1);
  requireAtLeast("sgd", "weightDecay", weightDecay, 0);
  if (nesterov && momentum === 0) throw new RangeError("sgd: nesterov needs a momentum above 0");
  const optimizer: Optimizer = {
    name: "sgd",
    slots: momentum === 0 ? [] : ["momentum"],
    decays: [],
    scalars: (step) => [rate(step)],
    update: ({ parameter, gradient, slots, scalars, verdict }, elementCount) =>
      sgdKernel({
        parameter,
        gradient,
        velocity: momentum === 0 ? undefined : slotOf(slots, 0, "momentum"),
        scalars,
        verdict,
      }, { count: elementCount, momentum, nesterov, weightDecay }),
  };
  const learningRate = describeSchedule(options.learningRate);
  return describedAs(optimizer, { name: "sgd", momentum, nesterov, weightDecay, learningRate });
}
