import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { rmsprop as rmspropKernel } from "../../kernels/optimizer/rmsprop.ts";
import type { UpdateBinding } from "../../graph/program.ts";
import { groupedOptimizer } from "./grouped_optimizer.ts";
import { requireDecays, requireEpsilon, slotOf } from "./hyperparameters.ts";
import type { Optimizer } from "./optimizer.ts";
import { OPTIMIZER_OPTIONS, type OptimizerOptions } from "./optimizer_options.ts";

/** Options of {@link rmsprop}. Default rate 0.01, default decay 0: it is added to the gradient, times the parameter. */
export interface RmspropOptions extends OptimizerOptions {
  /** Decay of the mean of the squares of the gradients. Default 0.99. */
  readonly alpha?: number | undefined;
  /** Default 1e-8. */
  readonly epsilon?: number | undefined;
  /** Default 0. */
  readonly momentum?: number | undefined;
  /** Whether the variance of the gradients is divided by, in place of the mean of their squares. Default false. */
  readonly centered?: boolean | undefined;
}

/** Every option of {@link RmspropOptions}. */
export const RMSPROP_OPTIONS: OptionNames<RmspropOptions> = {
  ...OPTIMIZER_OPTIONS,
  alpha: true,
  epsilon: true,
  momentum: true,
  centered: true,
};

/** RMSprop (Hinton 2012, lecture 6e), as in PyTorch. */
export function rmsprop(options: RmspropOptions = {}): Optimizer {
  const { alpha = 0.99, epsilon = 1e-8, momentum = 0, centered = false } = checkOptions(
    "rmsprop()",
    options,
    RMSPROP_OPTIONS,
    "{ learningRate: 0.01 }",
  );
  requireDecays("rmsprop", { alpha, momentum });
  requireEpsilon("rmsprop", epsilon);
  const slots = [
    "square_average",
    ...centered ? ["gradient_average"] : [],
    ...momentum > 0 ? ["momentum"] : [],
  ];
  return groupedOptimizer({
    name: "rmsprop",
    options,
    defaults: { learningRate: 0.01, weightDecay: 0 },
    slots,
    described: { alpha, epsilon, momentum, centered },
    update: ({ slots: given, ...bindings }, { count }, group) => [
      rmspropKernel<UpdateBinding>(
        {
          ...bindings,
          squareAverage: slotOf(given, 0, "square_average"),
          gradientAverage: centered ? slotOf(given, 1, "gradient_average") : undefined,
          velocity: momentum > 0 ? slotOf(given, slots.indexOf("momentum"), "momentum") : undefined,
        },
        { count, ...group, alpha, epsilon, momentum },
      ),
    ],
  });
}
