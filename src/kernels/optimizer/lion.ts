import type { Dispatch } from "../../gpu/dispatch.ts";
import { updateKernel, type UpdateKernelBindings, type UpdateKernelSizes } from "./update_kernel.ts";

/** What Lion binds. */
export interface LionBindings<B> extends UpdateKernelBindings<B> {
  /** Running mean of the gradients, read and written; zeros at first. */
  readonly m: B;
}

/** Hyperparameters. */
export interface LionHyperparameters extends UpdateKernelSizes {
  readonly beta1: number;
  readonly beta2: number;
  readonly weightDecay: number;
}

/**
 * One step of Lion (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", program 1), fused over a slab of
 * parameters:
 *
 * `d ← sign(m + (g - m)(1 - β1))`, `m ← m + (g - m)(1 - β2)`, `p ← p (1 - lr·decay) - lr·d`.
 */
export function lion<B>(bindings: LionBindings<B>, hyperparameters: LionHyperparameters): Dispatch<B> {
  const { verdict, scalars, gradient, parameter, m } = bindings;
  const { count, rate, beta1, beta2, weightDecay } = hyperparameters;
  return updateKernel({
    name: "lion",
    sizes: { count, rate },
    verdict,
    scalars,
    gradient,
    written: { parameter, mean: m },
    constants: { one_minus_beta1: 1 - beta1, one_minus_beta2: 1 - beta2, weight_decay: weightDecay },
    body: `  let difference = gradient - mean[index];
  let direction = sign(mean[index] + difference * one_minus_beta1);
  mean[index] += difference * one_minus_beta2;
  let decayed = parameter[index] * (1.0 - learning_rate * weight_decay);
  parameter[index] = decayed - learning_rate * direction;`,
  });
}
