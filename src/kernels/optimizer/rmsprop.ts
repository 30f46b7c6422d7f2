import type { Dispatch } from "../../gpu/dispatch.ts";
import { updateKernel, type UpdateKernelBindings, type UpdateKernelSizes } from "./update_kernel.ts";

/** What RMSprop binds. */
export interface RmspropBindings<B> extends UpdateKernelBindings<B> {
  /** Running mean of the squares of the gradients, read and written; zeros at first. */
  readonly squareAverage: B;
  /** Running mean of the gradients, read and written; zeros at first. With it, the variance is divided by. */
  readonly gradientAverage?: B | undefined;
  /** Read and written; zeros at first. Needed exactly when there is momentum. */
  readonly velocity?: B | undefined;
}

/** Hyperparameters. */
export interface RmspropHyperparameters extends UpdateKernelSizes {
  readonly alpha: number;
  /** Above 0, or elements whose gradient was always 0 would become NaN. */
  readonly epsilon: number;
  readonly weightDecay: number;
  readonly momentum: number;
}

/**
 * One step of RMSprop (Hinton 2012, lecture 6e) as PyTorch computes it, fused over a slab of parameters:
 *
 * `g ← g + decay·p`, `s ← α s + (1 - α) g²`, centered `a ← a + (g - a)(1 - α)` and `s - a²` for `s` below,
 * `d ← g / (√s + ε)`, with momentum `d ← v ← momentum·v + d`, `p ← p - lr·d`.
 *
 * Rounding may leave `s - a²` below zero, of which PyTorch makes NaN; here it is zero then.
 */
export function rmsprop<B>(
  bindings: RmspropBindings<B>,
  hyperparameters: RmspropHyperparameters,
): Dispatch<B> {
  const { verdict, scalars, gradient, parameter, squareAverage, gradientAverage, velocity } = bindings;
  const { count, rate, alpha, epsilon, weightDecay, momentum } = hyperparameters;
  const isCentered = gradientAverage !== undefined;
  const hasMomentum = velocity !== undefined;
  return updateKernel({
    name: "rmsprop",
    sizes: { count, rate },
    verdict,
    scalars,
    gradient,
    coupledDecay: weightDecay,
    written: {
      parameter,
      square_average: squareAverage,
      ...isCentered ? { gradient_average: gradientAverage } : {},
      ...hasMomentum ? { velocity } : {},
    },
    constants: { alpha, one_minus_alpha: 1 - alpha, epsilon, ...hasMomentum ? { momentum } : {} },
    body: `  let s = square_average[index] * alpha + gradient * gradient * one_minus_alpha;
  square_average[index] = s;
${isCentered ? CENTERED_WGSL : "  let spread = sqrt(s);"}
  let scaled = gradient / (spread + epsilon);
${hasMomentum ? MOMENTUM_WGSL : "  let direction = scaled;"}
  parameter[index] -= learning_rate * direction;`,
  });
}

const CENTERED_WGSL =
  `  let a = gradient_average[index] + (gradient - gradient_average[index]) * one_minus_alpha;
  gradient_average[index] = a;
  let spread = sqrt(max(s - a * a, Elements(0.0)));`;

const MOMENTUM_WGSL = `  let direction = velocity[index] * momentum + scaled;
  velocity[index] = direction;`;
