import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { adadelta as adadeltaKernel } from "../../kernels/optimizer/adadelta.ts";
import type { UpdateBinding } from "../../graph/program.ts";
import { groupedOptimizer } from "./grouped_optimizer.ts";
import { requireDecays, requireEpsilon, slotOf } from "./hyperparameters.ts";
import type { Optimizer } from "./optimizer.ts";
import { OPTIMIZER_OPTIONS, type OptimizerOptions } from "./optimizer_options.ts";

/** Options of {@link adadelta}. Default rate 1, default decay 0: it is added to the gradient, times the parameter. */
export interface AdadeltaOptions extends OptimizerOptions {
  /** Decay of the means of squares, of gradients and of changes. Default 0.9. */
  readonly rho?: number | undefined;
  /** Default 1e-6. */
  readonly epsilon?: number | undefined;
}

/** Every option of {@link AdadeltaOptions}. */
export const ADADELTA_OPTIONS: OptionNames<AdadeltaOptions> = {
  ...OPTIMIZER_OPTIONS,
  rho: true,
  epsilon: true,
};

/** Adadelta (Zeiler 2012), as in PyTorch. */
export function adadelta(options: AdadeltaOptions = {}): Optimizer {
  const { rho = 0.9, epsilon = 1e-6 } = checkOptions("adadelta()", options, ADADELTA_OPTIONS, "{ rho: 0.9 }");
  requireDecays("adadelta", { rho });
  requireEpsilon("adadelta", epsilon);
  return groupedOptimizer({
    name: "adadelta",
    options,
    defaults: { learningRate: 1, weightDecay: 0 },
    slots: ["square_average", "delta_average"],
    described: { rho, epsilon },
    update: ({ slots, ...bindings }, { count }, group) => [
      adadeltaKernel<UpdateBinding>(
        {
          ...bindings,
          squareAverage: slotOf(slots, 0, "square_average"),
          deltaAverage: slotOf(slots, 1, "delta_average"),
        },
        { count, ...group, rho, epsilon },
      ),
    ],
  });
}
