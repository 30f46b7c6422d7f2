import type { Dispatch } from "../../gpu/dispatch.ts";
import { updateKernel, type UpdateKernelBindings, type UpdateKernelSizes } from "./update_kernel.ts";

/** What Adamax binds. `corrections.x` of the verdict: 1 - beta1^t. */
export interface AdamaxBindings<B> extends UpdateKernelBindings<B> {
  /** Running mean of the gradients, read and written; zeros at first. */
  readonly m: B;
  /** Decaying maximum of their magnitudes, read and written; zeros at first. */
  readonly norm: B;
}

/** Hyperparameters. */
export interface AdamaxHyperparameters extends UpdateKernelSizes {
  readonly beta1: number;
  readonly beta2: number;
  /** Above 0, or elements whose gradient was always 0 would become NaN. */
  readonly epsilon: number;
  readonly weightDecay: number;
}

/**
 * One step of Adamax (Kingma and Ba 2015, section 7.1) as PyTorch computes it, fused over a slab of parameters:
 *
 * `g ← g + decay·p`, `m ← m + (g - m)(1 - β1)`, `u ← max(β2 u, |g| + ε)`, `p ← p - lr / (1 - β1^t) · m / u`.
 */
export function adamax<B>(bindings: AdamaxBindings<B>, hyperparameters: AdamaxHyperparameters): Dispatch<B> {
  const { verdict, scalars, gradient, parameter, m, norm } = bindings;
  const { count, rate, beta1, beta2, epsilon, weightDecay } = hyperparameters;
  return updateKernel({
    name: "adamax",
    sizes: { count, rate },
    verdict,
    scalars,
    gradient,
    coupledDecay: weightDecay,
    written: { parameter, mean: m, norm },
    constants: { one_minus_beta1: 1 - beta1, beta2, epsilon },
    body: `  let m = mean[index] + (gradient - mean[index]) * one_minus_beta1;
  let u = max(norm[index] * beta2, abs(gradient) + epsilon);
  mean[index] = m;
  norm[index] = u;
  parameter[index] -= learning_rate / verdict.corrections.x * (m / u);`,
  });
}
