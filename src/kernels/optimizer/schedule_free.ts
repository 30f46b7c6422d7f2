import type { Dispatch } from "../../gpu/dispatch.ts";
import { updateKernel, type UpdateKernelBindings, type UpdateKernelSizes } from "./update_kernel.ts";

/**
 * What schedule-free AdamW binds. `corrections.x` of the verdict: 1 - beta2^t. Behind the learning rate in the step's
 * scalars is the share that the newest point has in the average.
 */
export interface ScheduleFreeBindings<B> extends UpdateKernelBindings<B> {
  /** Running mean of the squares of the gradients, read and written; zeros at first. */
  readonly v: B;
  /** Where the steps lead: read and written. It begins as the parameter. */
  readonly z: B;
  /** The average of those points: read and written. It begins as the parameter. */
  readonly average: B;
}

/** Hyperparameters. */
export interface ScheduleFreeHyperparameters extends UpdateKernelSizes {
  readonly beta1: number;
  readonly beta2: number;
  /** Above 0, or elements whose gradient was always 0 would become NaN. */
  readonly epsilon: number;
  readonly weightDecay: number;
}

/**
 * One step of schedule-free AdamW (Defazio et al. 2024, "The Road Less Scheduled", algorithm 1), fused over a slab of
 * parameters, which are the points y that gradients are taken at:
 *
 * `v ← β2 v + (1 - β2) g²`, `z ← z - lr · g / (√v / √(1 - β2^t) + ε) - lr · decay · y`, `x ← x + (z - x) c`,
 * `y ← z + (x - z) β1`.
 */
export function scheduleFree<B>(
  bindings: ScheduleFreeBindings<B>,
  hyperparameters: ScheduleFreeHyperparameters,
): Dispatch<B> {
  const { verdict, scalars, gradient, parameter, v, z, average } = bindings;
  const { count, rate, beta1, beta2, epsilon, weightDecay } = hyperparameters;
  return updateKernel({
    name: "scheduleFreeAdamw",
    sizes: { count, rate },
    verdict,
    scalars,
    gradient,
    written: { parameter, mean_square: v, target_point: z, average },
    constants: { beta1, beta2, one_minus_beta2: 1 - beta2, epsilon, weight_decay: weightDecay },
    body: `  let share = scalars.values[(rate + 1u) / 4u][(rate + 1u) % 4u];
  let is_first = verdict.updates == 1u;
  let y = parameter[index];
  let v = mean_square[index] * beta2 + gradient * gradient * one_minus_beta2;
  let direction = gradient / (sqrt(v) / sqrt(verdict.corrections.x) + epsilon);
  let z = select(target_point[index], y, is_first) - learning_rate * (direction + y * weight_decay);
  let before = select(average[index], y, is_first);
  let x = before + (z - before) * share;
  mean_square[index] = v;
  target_point[index] = z;
  average[index] = x;
  parameter[index] = z + (x - z) * beta1;`,
  });
}
