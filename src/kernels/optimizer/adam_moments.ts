import type { Dispatch } from "../../gpu/dispatch.ts";
import { updateKernel, type UpdateKernelSizes } from "./update_kernel.ts";

/** What the moments of Adam bind. */
export interface AdamMomentsBindings<B> {
  readonly gradient: B;
  /** Running mean of the gradients, read and written; zeros at first. */
  readonly m: B;
  /** Running mean of their squares, read and written; zeros at first. */
  readonly v: B;
  readonly verdict: B;
}

/** Hyperparameters. */
export interface AdamMomentsHyperparameters extends Pick<UpdateKernelSizes, "count"> {
  readonly beta1: number;
  readonly beta2: number;
}

/**
 * The moments of Adam by themselves, for what needs them before any parameter moves: `m ← m + (g - m)(1 - β1)`,
 * `v ← β2 v + (1 - β2) g²`.
 */
export function adamMoments<B>(
  { gradient, m, v, verdict }: AdamMomentsBindings<B>,
  { count, beta1, beta2 }: AdamMomentsHyperparameters,
): Dispatch<B> {
  return updateKernel({
    name: "adamMoments",
    sizes: { count },
    verdict,
    gradient,
    written: { mean: m, mean_square: v },
    // Subtracted here: in f32, 1 - 0.999 keeps four digits.
    constants: { one_minus_beta1: 1 - beta1, beta2, one_minus_beta2: 1 - beta2 },
    body: `  mean[index] += (gradient - mean[index]) * one_minus_beta1;
  mean_square[index] = mean_square[index] * beta2 + gradient * gradient * one_minus_beta2;`,
  });
}
