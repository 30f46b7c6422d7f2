import type { Dispatch } from "../../gpu/dispatch.ts";
import { updateKernel, type UpdateKernelBindings, type UpdateKernelSizes } from "./update_kernel.ts";

/** What Adadelta binds. */
export interface AdadeltaBindings<B> extends UpdateKernelBindings<B> {
  /** Running mean of the squares of the gradients, read and written; zeros at first. */
  readonly squareAverage: B;
  /** Running mean of the squares of the changes, read and written; zeros at first. */
  readonly deltaAverage: B;
}

/** Hyperparameters. */
export interface AdadeltaHyperparameters extends UpdateKernelSizes {
  readonly rho: number;
  /** Above 0, or nothing would ever move. */
  readonly epsilon: number;
  readonly weightDecay: number;
}

/**
 * One step of Adadelta (Zeiler 2012) as PyTorch computes it, fused over a slab of parameters:
 *
 * `g ← g + decay·p`, `s ← ρ s + (1 - ρ) g²`, `δ ← √(d + ε) / √(s + ε) · g`, `d ← ρ d + (1 - ρ) δ²`, `p ← p - lr·δ`.
 */
export function adadelta<B>(
  bindings: AdadeltaBindings<B>,
  hyperparameters: AdadeltaHyperparameters,
): Dispatch<B> {
  const { verdict, scalars, gradient, parameter, squareAverage, deltaAverage } = bindings;
  const { count, rate, rho, epsilon, weightDecay } = hyperparameters;
  return updateKernel({
    name: "adadelta",
    sizes: { count, rate },
    verdict,
    scalars,
    gradient,
    coupledDecay: weightDecay,
    written: { parameter, square_average: squareAverage, delta_average: deltaAverage },
    constants: { rho, one_minus_rho: 1 - rho, epsilon },
    body: `  let s = square_average[index] * rho + gradient * gradient * one_minus_rho;
  let before = delta_average[index];
  let delta = sqrt(before + epsilon) / sqrt(s + epsilon) * gradient;
  square_average[index] = s;
  delta_average[index] = before * rho + delta * delta * one_minus_rho;
  parameter[index] -= learning_rate * delta;`,
  });
}
