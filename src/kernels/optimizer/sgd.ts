import type { Dispatch } from "../../gpu/dispatch.ts";
import { updateKernel, type UpdateKernelBindings, type UpdateKernelSizes } from "./update_kernel.ts";

/** What SGD binds. */
export interface SgdBindings<B> extends UpdateKernelBindings<B> {
  /** Read and written; zeros at first. Needed exactly when there is momentum. */
  readonly velocity?: B | undefined;
}

/** Hyperparameters. */
export interface SgdHyperparameters extends UpdateKernelSizes {
  readonly momentum: number;
  /** How much less than the whole gradient goes into the velocity, after the first update. */
  readonly dampening: number;
  readonly nesterov: boolean;
  readonly weightDecay: number;
}

/**
 * One step of stochastic gradient descent as PyTorch computes it, fused over a slab of parameters:
 *
 * `g ← g + decay·p`, `v ← momentum·v + (1 - dampening) g`, in the first update `v ← g`; `p ← p - lr·v`, or with
 * Nesterov's momentum `p ← p - lr (g + momentum·v)`.
 *
 * Elements that are zero with a zero gradient stay zero, so a slab's padding does. Throws `TypeError` for momentum
 * without velocity, or the reverse.
 */
export function sgd<B>(bindings: SgdBindings<B>, hyperparameters: SgdHyperparameters): Dispatch<B> {
  const { verdict, scalars, gradient, parameter, velocity } = bindings;
  const { count, rate, momentum, dampening, nesterov, weightDecay } = hyperparameters;
  if ((velocity !== undefined) !== (momentum > 0)) {
    throw new TypeError(
      `sgd: momentum is ${momentum}, and velocity is ${velocity === undefined ? "missing" : "bound"}`,
    );
  }
  const isDampened = dampening !== 0;
  return updateKernel({
    name: "sgd",
    sizes: { count, rate },
    verdict,
    scalars,
    gradient,
    coupledDecay: weightDecay,
    written: { parameter, ...velocity === undefined ? {} : { velocity } },
    constants: velocity === undefined
      ? {}
      : { momentum, ...isDampened ? { one_minus_dampening: 1 - dampening } : {} },
    body: velocity === undefined
      ? "  parameter[index] -= learning_rate * gradient;"
      : momentumWgsl(isDampened, nesterov),
  });
}

const DAMPED_WGSL = "gradient * select(one_minus_dampening, 1.0, verdict.updates == 1u)";

function momentumWgsl(isDampened: boolean, nesterov: boolean): string {
  return `  let v = velocity[index] * momentum + ${isDampened ? DAMPED_WGSL : "gradient"};
  velocity[index] = v;
  parameter[index] -= learning_rate * ${nesterov ? "(gradient + v * momentum)" : "v"};`;
}
