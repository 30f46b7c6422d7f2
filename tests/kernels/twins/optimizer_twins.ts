/**
 * One element of an optimiser's tensors: the parameter first, then its slots.
 */
export type ElementState = readonly [parameter: number, ...slots: number[]];

/** One update of one element, in float64: `t` is 1 in the first. */
export type OptimizerTwin = (state: ElementState, gradient: number, t: number) => ElementState;

// Each is written after the loop over parameters in PyTorch 1.13's `torch/optim/*.py` (`_single_tensor_*`), statement
// by statement, or after the paper that is named, and shares nothing with the kernels.

/** `torch.optim.SGD`. */
export function sgdTwin(
  { lr, momentum = 0, dampening = 0, nesterov = false, weightDecay = 0 }: {
    readonly lr: number;
    readonly momentum?: number;
    readonly dampening?: number;
    readonly nesterov?: boolean;
    readonly weightDecay?: number;
  },
): OptimizerTwin {
  return ([p, buffer = 0], gradient, t) => {
    let d = gradient;
    if (weightDecay !== 0) d += weightDecay * p;
    if (momentum === 0) return [p - lr * d];
    const next = t === 1 ? d : momentum * buffer + (1 - dampening) * d;
    d = nesterov ? d + momentum * next : next;
    return [p - lr * d, next];
  };
}

/** `torch.optim.Adam` and `torch.optim.AdamW`. */
export function adamTwin(
  { lr, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weightDecay = 0, isDecoupled = false }: {
    readonly lr: number;
    readonly beta1?: number;
    readonly beta2?: number;
    readonly eps?: number;
    readonly weightDecay?: number;
    readonly isDecoupled?: boolean;
  },
): OptimizerTwin {
  return ([p, expAvg = 0, expAvgSq = 0], gradient, t) => {
    const param = isDecoupled ? p * (1 - lr * weightDecay) : p;
    const grad = isDecoupled ? gradient : gradient + weightDecay * p;
    const m = expAvg * beta1 + grad * (1 - beta1);
    const v = expAvgSq * beta2 + (1 - beta2) * grad * grad;
    const stepSize = lr / (1 - beta1 ** t);
    const denom = Math.sqrt(v) / Math.sqrt(1 - beta2 ** t) + eps;
    return [param - stepSize * (m / denom), m, v];
  };
}

/** `torch.optim.Adamax`. */
export function adamaxTwin(
  { lr, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weightDecay = 0 }: {
    readonly lr: number;
    readonly beta1?: number;
    readonly beta2?: number;
    readonly eps?: number;
    readonly weightDecay?: number;
  },
): OptimizerTwin {
  return ([p, expAvg = 0, expInf = 0], gradient, t) => {
    const grad = gradient + weightDecay * p;
    const m = expAvg * beta1 + grad * (1 - beta1);
    const norm = Math.max(beta2 * expInf, Math.abs(grad) + eps);
    return [p - lr / (1 - beta1 ** t) * (m / norm), m, norm];
  };
}

/** `torch.optim.Adagrad`. */
export function adagradTwin(
  { lr, lrDecay = 0, initial = 0, eps = 1e-10, weightDecay = 0 }: {
    readonly lr: number;
    readonly lrDecay?: number;
    readonly initial?: number;
    readonly eps?: number;
    readonly weightDecay?: number;
  },
): OptimizerTwin {
  return ([p, stateSum = 0], gradient, t) => {
    const grad = gradient + weightDecay * p;
    const sum = (t === 1 ? initial : stateSum) + grad * grad;
    const clr = lr / (1 + (t - 1) * lrDecay);
    return [p - clr * (grad / (Math.sqrt(sum) + eps)), sum];
  };
}

/** `torch.optim.Adadelta`. */
export function adadeltaTwin(
  { lr = 1, rho = 0.9, eps = 1e-6, weightDecay = 0 }: {
    readonly lr?: number;
    readonly rho?: number;
    readonly eps?: number;
    readonly weightDecay?: number;
  },
): OptimizerTwin {
  return ([p, squareAvg = 0, accDelta = 0], gradient) => {
    const grad = gradient + weightDecay * p;
    const square = squareAvg * rho + grad * grad * (1 - rho);
    const std = Math.sqrt(square + eps);
    const delta = Math.sqrt(accDelta + eps) / std * grad;
    return [p - lr * delta, square, accDelta * rho + delta * delta * (1 - rho)];
  };
}

/** `torch.optim.RMSprop`. The slots are those that it has: the square average, the mean if centered, the momentum. */
export function rmspropTwin(
  { lr, alpha = 0.99, eps = 1e-8, weightDecay = 0, momentum = 0, centered = false }: {
    readonly lr: number;
    readonly alpha?: number;
    readonly eps?: number;
    readonly weightDecay?: number;
    readonly momentum?: number;
    readonly centered?: boolean;
  },
): OptimizerTwin {
  return ([p, squareAvg = 0, ...rest], gradient) => {
    const grad = gradient + weightDecay * p;
    const square = squareAvg * alpha + (1 - alpha) * grad * grad;
    const slots = [square];
    let avg = square;
    if (centered) {
      const mean = (rest.shift() ?? 0) * alpha + (1 - alpha) * grad;
      slots.push(mean);
      avg = square - mean * mean;
    }
    avg = Math.sqrt(avg) + eps;
    if (momentum === 0) return [p - lr * (grad / avg), ...slots];
    const buffer = (rest.shift() ?? 0) * momentum + grad / avg;
    return [p - lr * buffer, ...slots, buffer];
  };
}

/** Lion, program 1 of Chen et al. 2023 (arXiv 2302.06675). */
export function lionTwin(
  { lr, beta1 = 0.9, beta2 = 0.99, weightDecay = 0 }: {
    readonly lr: number;
    readonly beta1?: number;
    readonly beta2?: number;
    readonly weightDecay?: number;
  },
): OptimizerTwin {
  return ([p, m = 0], g) => {
    const update = Math.sign(beta1 * m + (1 - beta1) * g);
    return [p - lr * (update + p * weightDecay), beta2 * m + (1 - beta2) * g];
  };
}
