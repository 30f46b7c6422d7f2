import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { add, div, mul, square } from "../../graph/ops/arithmetic.ts";
import { greater, logicalAnd, where } from "../../graph/ops/comparison.ts";
import { sum } from "../../graph/ops/sum.ts";
import { sqrt } from "../../graph/ops/transcendental.ts";
import type { UpdateBinding } from "../../graph/program.ts";
import type { Value } from "../../graph/value.ts";
import { adamMoments } from "../../kernels/optimizer/adam_moments.ts";
import { lamb as lambKernel } from "../../kernels/optimizer/lamb.ts";
import { groupedOptimizer } from "./grouped_optimizer.ts";
import { requireDecays, requireEpsilon, slotOf } from "./hyperparameters.ts";
import type { Optimizer } from "./optimizer.ts";
import { OPTIMIZER_OPTIONS, type OptimizerOptions } from "./optimizer_options.ts";
import { type UpdateTensors, updateTensors } from "./update_tensors.ts";

/**
 * Options of {@link lamb}. Default rate 1e-3, default decay 0.01: it is added to the direction, times the parameter.
 */
export interface LambOptions extends OptimizerOptions {
  /** Decay of the mean of the gradients. Default 0.9. */
  readonly beta1?: number | undefined;
  /** Decay of the mean of their squares. Default 0.999. */
  readonly beta2?: number | undefined;
  /** Default 1e-6. */
  readonly epsilon?: number | undefined;
}

/** Every option of {@link LambOptions}. */
export const LAMB_OPTIONS: OptionNames<LambOptions> = {
  ...OPTIMIZER_OPTIONS,
  beta1: true,
  beta2: true,
  epsilon: true,
};

/**
 * LAMB (You et al. 2020, "Large Batch Optimization for Deep Learning", algorithm 2, with φ the identity): the step of
 * each tensor is as long as the rate times its own norm. Where the tensor or its direction is zero, it is Adam's.
 */
export function lamb(options: LambOptions = {}): Optimizer {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-6 } = checkOptions(
    "lamb()",
    options,
    LAMB_OPTIONS,
    "{ learningRate: 1e-3 }",
  );
  requireDecays("lamb", { beta1, beta2 });
  requireEpsilon("lamb", epsilon);
  const slotNames = ["m", "v"] as const;
  return groupedOptimizer({
    name: "lamb",
    options,
    defaults: { learningRate: 1e-3, weightDecay: 0.01 },
    slots: slotNames,
    over: "tensors",
    decays: [beta1, beta2],
    described: { beta1, beta2, epsilon },
    update: (bindings, { count, parameters }, { rate, weightDecay }) => {
      const { parameter, gradient, scalars, verdict, slots } = bindings;
      const moments = { m: slotOf(slots, 0, "m"), v: slotOf(slots, 1, "v") };
      const tensors = updateTensors(bindings, [count], slotNames, rate);
      const output = `trust ratio of ${parameters[0]?.name}`;
      return [
        adamMoments<UpdateBinding>({ gradient, verdict, ...moments }, { count, beta1, beta2 }),
        { values: { [output]: trustRatio(tensors, epsilon, weightDecay) }, parameters: tensors.locate },
        lambKernel<UpdateBinding>(
          { parameter, scalars, verdict, ...moments, trustRatio: { output } },
          { count, rate, epsilon, weightDecay },
        ),
      ];
    },
  });
}

/** The norm of a parameter by that of its direction, 1 where one of them is 0. */
function trustRatio(
  { parameter, slots: { m, v }, corrections: [correction1, correction2] }: UpdateTensors<"m" | "v">,
  epsilon: number,
  weightDecay: number,
): Value {
  const adaptive = div(div(m, correction1), add(div(sqrt(v), sqrt(correction2)), epsilon));
  const [ofParameter, ofDirection] = [norm(parameter), norm(add(adaptive, mul(parameter, weightDecay)))];
  const isKnown = logicalAnd(greater(ofParameter, 0), greater(ofDirection, 0));
  return where(isKnown, div(ofParameter, ofDirection), 1);
}

function norm(value: Value): Value {
  return sqrt(sum(square(value)));
}
