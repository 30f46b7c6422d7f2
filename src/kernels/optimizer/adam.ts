import type { Dispatch } from "../../gpu/dispatch.ts";
import { updateKernel, type UpdateKernelBindings, type UpdateKernelSizes } from "./update_kernel.ts";

/** What Adam binds. `corrections` of the verdict: 1 - beta1^t and 1 - beta2^t, with t = 1 in the first update. */
export interface AdamBindings<B> extends UpdateKernelBindings<B> {
  /** Running mean of the gradients, read and written; zeros at first. */
  readonly m: B;
  /** Running mean of their squares, read and written; zeros at first. */
  readonly v: B;
}

/** Hyperparameters. */
export interface AdamHyperparameters extends UpdateKernelSizes {
  readonly beta1: number;
  readonly beta2: number;
  /** At least 2^-126, or elements whose gradient was always 0 would become NaN. */
  readonly epsilon: number;
  readonly weightDecay: number;
  /**
   * Whether the decay is added to the gradient (Adam) or the parameter shrinks beside it (AdamW).
   */
  readonly decay: "coupled" | "decoupled";
}

/**
 * One step of Adam (Kingma and Ba 2015) or AdamW (Loshchilov and Hutter 2019) as PyTorch computes it, fused over a
 * slab of parameters:
 *
 * `g ← g + decay·p` or `p ← p (1 - lr·decay)`, `m ← m + (g - m)(1 - β1)`, `v ← β2 v + (1 - β2) g²`,
 * `p ← p - lr / (1 - β1^t) · m / (√v / √(1 - β2^t) + ε)`.
 *
 * Elements that are zero with a zero gradient stay zero, so a slab's padding does.
 */
export function adam<B>(bindings: AdamBindings<B>, hyperparameters: AdamHyperparameters): Dispatch<B> {
  const { verdict, scalars, gradient, parameter, m, v } = bindings;
  const { count, rate, beta1, beta2, epsilon, weightDecay, decay } = hyperparameters;
  const isCoupled = decay === "coupled";
  return updateKernel({
    name: isCoupled ? "adam" : "adamw",
    sizes: { count, rate },
    verdict,
    scalars,
    gradient,
    coupledDecay: isCoupled ? weightDecay : 0,
    written: { parameter, mean: m, mean_square: v },
    constants: {
      // Subtracted here: in f32, 1 - 0.999 keeps four digits.
      one_minus_beta1: 1 - beta1,
      beta2,
      one_minus_beta2: 1 - beta2,
      epsilon,
      ...isCoupled ? {} : { weight_decay: weightDecay },
    },
    body: `${ADAM_MOMENTS_WGSL}
  let decayed = parameter[index]${isCoupled ? "" : " * (1.0 - learning_rate * weight_decay)"};
  mean[index] = m;
  mean_square[index] = v;
  parameter[index] = decayed - learning_rate / verdict.corrections.x * (m / denominator);`,
  });
}

/** The moments with a gradient, and what the first is divided by. */
const ADAM_MOMENTS_WGSL = `  let m = mean[index] + (gradient - mean[index]) * one_minus_beta1;
  let v = mean_square[index] * beta2 + gradient * gradient * one_minus_beta2;
  let denominator = sqrt(v) / sqrt(verdict.corrections.y) + epsilon;`;
