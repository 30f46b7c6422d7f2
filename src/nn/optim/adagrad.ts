import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { adagrad as adagradKernel } from "../../kernels/optimizer/adagrad.ts";
import type { UpdateBinding } from "../../graph/program.ts";
import { groupedOptimizer } from "./grouped_optimizer.ts";
import { requireAtLeast, requireEpsilon, slotOf } from "./hyperparameters.ts";
import type { Optimizer } from "./optimizer.ts";
import { OPTIMIZER_OPTIONS, type OptimizerOptions } from "./optimizer_options.ts";

/** Options of {@link adagrad}. Default rate 0.01, default decay 0: it is added to the gradient, times the parameter. */
export interface AdagradOptions extends OptimizerOptions {
  /** The rate of update t, from 0, is divided by `1 + t * learningRateDecay`. Default 0. */
  readonly learningRateDecay?: number | undefined;
  /** What the sums of squares begin with. Default 0. */
  readonly initialAccumulatorValue?: number | undefined;
  /** Default 1e-10. */
  readonly epsilon?: number | undefined;
}

/** Every option of {@link AdagradOptions}. */
export const ADAGRAD_OPTIONS: OptionNames<AdagradOptions> = {
  ...OPTIMIZER_OPTIONS,
  learningRateDecay: true,
  initialAccumulatorValue: true,
  epsilon: true,
};

/** Adagrad (Duchi et al. 2011), as in PyTorch. */
export function adagrad(options: AdagradOptions = {}): Optimizer {
  const { learningRateDecay = 0, initialAccumulatorValue = 0, epsilon = 1e-10 } = checkOptions(
    "adagrad()",
    options,
    ADAGRAD_OPTIONS,
    "{ learningRate: 0.01 }",
  );
  requireAtLeast("adagrad", "learningRateDecay", learningRateDecay, 0);
  requireAtLeast("adagrad", "initialAccumulatorValue", initialAccumulatorValue, 0);
  requireEpsilon("adagrad", epsilon);
  return groupedOptimizer({
    name: "adagrad",
    options,
    defaults: { learningRate: 0.01, weightDecay: 0 },
    slots: ["sum"],
    described: { learningRateDecay, initialAccumulatorValue, epsilon },
    update: ({ slots, ...bindings }, { count }, group) => [
      adagradKernel<UpdateBinding>(
        { ...bindings, sum: slotOf(slots, 0, "sum") },
        { count, ...group, rateDecay: learningRateDecay, initialSum: initialAccumulatorValue, epsilon },
      ),
    ],
  });
}
