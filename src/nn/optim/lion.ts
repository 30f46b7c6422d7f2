import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { lion as lionKernel } from "../../kernels/optimizer/lion.ts";
import type { UpdateBinding } from "../../graph/program.ts";
import { groupedOptimizer } from "./grouped_optimizer.ts";
import { requireDecays, slotOf } from "./hyperparameters.ts";
import type { Optimizer } from "./optimizer.ts";
import { OPTIMIZER_OPTIONS, type OptimizerOptions } from "./optimizer_options.ts";

/**
 * Options of {@link lion}. Default rate 1e-4, default decay 0: the parameter shrinks by `learningRate * weightDecay`.
 */
export interface LionOptions extends OptimizerOptions {
  /** How much of the mean is in the direction; the rest is the gradient. Default 0.9. */
  readonly beta1?: number | undefined;
  /** Decay of the mean of the gradients. Default 0.99. */
  readonly beta2?: number | undefined;
}

/** Every option of {@link LionOptions}. */
export const LION_OPTIONS: OptionNames<LionOptions> = { ...OPTIMIZER_OPTIONS, beta1: true, beta2: true };

/**
 * Lion (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms"), with the defaults of its authors' code:
 * every element moves by the rate, up or down. Its authors take a rate 3 to 10 times smaller, and a decay as much
 * larger, than for AdamW.
 */
export function lion(options: LionOptions = {}): Optimizer {
  const { beta1 = 0.9, beta2 = 0.99 } = checkOptions(
    "lion()",
    options,
    LION_OPTIONS,
    "{ learningRate: 1e-4 }",
  );
  requireDecays("lion", { beta1, beta2 });
  return groupedOptimizer({
    name: "lion",
    options,
    defaults: { learningRate: 1e-4, weightDecay: 0 },
    slots: ["m"],
    described: { beta1, beta2 },
    update: ({ slots, ...bindings }, { count }, group) => [
      lionKernel<UpdateBinding>({ ...bindings, m: slotOf(slots, 0, "m") }, { count, ...group, beta1, beta2 }),
    ],
  });
}
