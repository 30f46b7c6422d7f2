import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { adam as adamKernel, type AdamHyperparameters } from "../../kernels/optimizer/adam.ts";
import type { UpdateBinding } from "../../graph/program.ts";
import { groupedOptimizer } from "./grouped_optimizer.ts";
import { requireDecays, requireEpsilon, slotOf } from "./hyperparameters.ts";
import type { Optimizer } from "./optimizer.ts";
import { OPTIMIZER_OPTIONS, type OptimizerOptions } from "./optimizer_options.ts";

/** Options of {@link adam}. Default rate 1e-3, default decay 0: it is added to the gradient, times the parameter. */
export interface AdamOptions extends OptimizerOptions {
  /** Decay of the mean of the gradients. Default 0.9. */
  readonly beta1?: number | undefined;
  /** Decay of the mean of their squares. Default 0.999. */
  readonly beta2?: number | undefined;
  /** Default 1e-8. */
  readonly epsilon?: number | undefined;
}

/** Every option of {@link AdamOptions}. */
export const ADAM_OPTIONS: OptionNames<AdamOptions> = {
  ...OPTIMIZER_OPTIONS,
  beta1: true,
  beta2: true,
  epsilon: true,
};

/** Adam (Kingma and Ba 2015), as in PyTorch. */
export function adam(options: AdamOptions = {}): Optimizer {
  checkOptions("adam()", options, ADAM_OPTIONS, "{ learningRate: 1e-3 }");
  return adamOptimizer("adam", options, "coupled", 0);
}

/**
 * Adam with its decay here or there, which differs in nothing else.
 *
 * @param scalarsBefore How many of the step's scalars belong to another optimiser beside it.
 */
export function adamOptimizer(
  name: string,
  options: AdamOptions,
  decay: AdamHyperparameters["decay"],
  weightDecay: number,
  scalarsBefore = 0,
): Optimizer {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } = options;
  requireDecays(name, { beta1, beta2 });
  requireEpsilon(name, epsilon);
  return groupedOptimizer({
    name,
    options,
    defaults: { learningRate: 1e-3, weightDecay },
    slots: ["m", "v"],
    scalarsBefore,
    decays: [beta1, beta2],
    described: { beta1, beta2, epsilon },
    update: ({ slots, ...bindings }, { count }, group) => [
      adamKernel<UpdateBinding>(
        { ...bindings, m: slotOf(slots, 0, "m"), v: slotOf(slots, 1, "v") },
        { count, ...group, beta1, beta2, epsilon, decay },
      ),
    ],
  });
}
