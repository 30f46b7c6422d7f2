import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { sgd as sgdKernel } from "../../kernels/optimizer/sgd.ts";
import type { UpdateBinding } from "../../graph/program.ts";
import { groupedOptimizer } from "./grouped_optimizer.ts";
import { requireAtLeast, requireDecays, slotOf } from "./hyperparameters.ts";
import type { Optimizer } from "./optimizer.ts";
import { OPTIMIZER_OPTIONS, type OptimizerOptions } from "./optimizer_options.ts";

/**
 * Options of {@link sgd}. The rate has no default, as in PyTorch; the decay, default 0, is added to the gradient,
 * times the parameter.
 */
export interface SgdOptions extends OptimizerOptions {
  /** Default 0. */
  readonly momentum?: number | undefined;
  /** How much less than the whole gradient goes into the momentum, after the first update. Default 0. */
  readonly dampening?: number | undefined;
  /** Nesterov's momentum. Default false. */
  readonly nesterov?: boolean | undefined;
}

/** Every option of {@link SgdOptions}. */
export const SGD_OPTIONS: OptionNames<SgdOptions> = {
  ...OPTIMIZER_OPTIONS,
  momentum: true,
  dampening: true,
  nesterov: true,
};

/** Stochastic gradient descent as in PyTorch: `v = momentum * v + g`, `p = p - learningRate * v`. */
export function sgd(options: SgdOptions): Optimizer {
  const { momentum = 0, dampening = 0, nesterov = false } = checkOptions(
    "sgd()",
    options,
    SGD_OPTIONS,
    "{ learningRate: 0.1 }",
  );
  requireDecays("sgd", { momentum });
  requireAtLeast("sgd", "dampening", dampening, 0);
  if (nesterov && (momentum === 0 || dampening !== 0)) {
    throw new RangeError("sgd: nesterov needs a momentum above 0 and no dampening");
  }
  return groupedOptimizer({
    name: "sgd",
    options,
    defaults: { weightDecay: 0 },
    slots: momentum === 0 ? [] : ["momentum"],
    // What checkpoints of earlier versions do not say is as it was then.
    described: { momentum, nesterov, ...dampening === 0 ? {} : { dampening } },
    update: ({ slots, ...bindings }, { count }, group) => [
      sgdKernel<UpdateBinding>(
        { ...bindings, velocity: momentum === 0 ? undefined : slotOf(slots, 0, "momentum") },
        { count, ...group, momentum, dampening, nesterov },
      ),
    ],
  });
}
