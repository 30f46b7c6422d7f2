import type { Dispatch } from "../../gpu/dispatch.ts";
import { updateKernel, type UpdateKernelBindings, type UpdateKernelSizes } from "./update_kernel.ts";

/** What Adagrad binds. */
export interface AdagradBindings<B> extends UpdateKernelBindings<B> {
  /** Sum of the squares of the gradients, read and written; it begins with the first update, whatever it holds. */
  readonly sum: B;
}

/** Hyperparameters. */
export interface AdagradHyperparameters extends UpdateKernelSizes {
  /** The rate of update t, from 0, is divided by `1 + t * rateDecay`. */
  readonly rateDecay: number;
  /** What the sum begins with. */
  readonly initialSum: number;
  /** Above 0, or elements whose gradient was always 0 would become NaN. */
  readonly epsilon: number;
  readonly weightDecay: number;
}

/**
 * One step of Adagrad (Duchi et al. 2011) as PyTorch computes it, fused over a slab of parameters:
 *
 * `g ← g + decay·p`, `s ← s + g²`, `p ← p - lr / (1 + t·rateDecay) · g / (√s + ε)`.
 */
export function adagrad<B>(
  bindings: AdagradBindings<B>,
  hyperparameters: AdagradHyperparameters,
): Dispatch<B> {
  const { verdict, scalars, gradient, parameter, sum } = bindings;
  const { count, rate, rateDecay, initialSum, epsilon, weightDecay } = hyperparameters;
  return updateKernel({
    name: "adagrad",
    sizes: { count, rate },
    verdict,
    scalars,
    gradient,
    coupledDecay: weightDecay,
    written: { parameter, sum_of_squares: sum },
    constants: { rate_decay: rateDecay, initial_sum: initialSum, epsilon },
    body: `  let before = select(sum_of_squares[index], Elements(initial_sum), verdict.updates == 1u);
  let s = before + gradient * gradient;
  sum_of_squares[index] = s;
  let decayed_rate = learning_rate / (1.0 + f32(verdict.updates - 1u) * rate_decay);
  parameter[index] -= decayed_rate * (gradient / (sqrt(s) + epsilon));`,
  });
}
