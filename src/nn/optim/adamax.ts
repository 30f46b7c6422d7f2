import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { adamax as adamaxKernel } from "../../kernels/optimizer/adamax.ts";
import type { UpdateBinding } from "../../graph/program.ts";
import { groupedOptimizer } from "./grouped_optimizer.ts";
import { requireDecays, requireEpsilon, slotOf } from "./hyperparameters.ts";
import type { Optimizer } from "./optimizer.ts";
import { OPTIMIZER_OPTIONS, type OptimizerOptions } from "./optimizer_options.ts";

/** Options of {@link adamax}. Default rate 2e-3, default decay 0: it is added to the gradient, times the parameter. */
export interface AdamaxOptions extends OptimizerOptions {
  /** Decay of the mean of the gradients. Default 0.9. */
  readonly beta1?: number | undefined;
  /** Decay of the maximum of their magnitudes. Default 0.999. */
  readonly beta2?: number | undefined;
  /** Default 1e-8. */
  readonly epsilon?: number | undefined;
}

/** Every option of {@link AdamaxOptions}. */
export const ADAMAX_OPTIONS: OptionNames<AdamaxOptions> = {
  ...OPTIMIZER_OPTIONS,
  beta1: true,
  beta2: true,
  epsilon: true,
};

/**
 * Adamax (Kingma and Ba 2015, section 7.1), as in PyTorch: Adam with the largest gradient in place of the mean
 * square.
 */
export function adamax(options: AdamaxOptions = {}): Optimizer {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } = checkOptions(
    "adamax()",
    options,
    ADAMAX_OPTIONS,
    "{ learningRate: 2e-3 }",
  );
  requireDecays("adamax", { beta1, beta2 });
  requireEpsilon("adamax", epsilon);
  return groupedOptimizer({
    name: "adamax",
    options,
    defaults: { learningRate: 2e-3, weightDecay: 0 },
    slots: ["m", "norm"],
    decays: [beta1],
    described: { beta1, beta2, epsilon },
    update: ({ slots, ...bindings }, { count }, group) => [
      adamaxKernel<UpdateBinding>(
        { ...bindings, m: slotOf(slots, 0, "m"), norm: slotOf(slots, 1, "norm") },
        { count, ...group, beta1, beta2, epsilon },
      ),
    ],
  });
}
