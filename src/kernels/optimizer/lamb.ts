import type { Dispatch } from "../../gpu/dispatch.ts";
import { updateKernel, type UpdateKernelBindings, type UpdateKernelSizes } from "./update_kernel.ts";

/** What the last step of LAMB binds. `corrections` of the verdict: 1 - beta1^t and 1 - beta2^t. */
export interface LambBindings<B> extends Omit<UpdateKernelBindings<B>, "gradient"> {
  /** The moments of Adam, with this step's gradient: read. */
  readonly m: B;
  readonly v: B;
  /** One f32, read: the norm of the parameter by that of the direction. */
  readonly trustRatio: B;
}

/** Hyperparameters. */
export interface LambHyperparameters extends UpdateKernelSizes {
  /** Above 0, or elements whose gradient was always 0 would become NaN. */
  readonly epsilon: number;
  readonly weightDecay: number;
}

/**
 * The last step of LAMB (You et al. 2020, algorithm 2) over one tensor, once its moments and its trust ratio are known:
 *
 * `d ← m / (1 - β1^t) / (√v / √(1 - β2^t) + ε) + decay·p`, `p ← p - lr · ratio · d`.
 */
export function lamb<B>(bindings: LambBindings<B>, hyperparameters: LambHyperparameters): Dispatch<B> {
  const { verdict, scalars, parameter, m, v, trustRatio } = bindings;
  const { count, rate, epsilon, weightDecay } = hyperparameters;
  return updateKernel({
    name: "lamb",
    sizes: { count, rate },
    verdict,
    scalars,
    written: { parameter },
    read: { mean: m, mean_square: v },
    numbers: { trust_ratio: trustRatio },
    constants: { epsilon, weight_decay: weightDecay },
    body: `  let denominator = sqrt(mean_square[index]) / sqrt(verdict.corrections.y) + epsilon;
  let adaptive = mean[index] / verdict.corrections.x / denominator;
  parameter[index] -= learning_rate * trust_ratio * (adaptive + parameter[index] * weight_decay);`,
  });
}
