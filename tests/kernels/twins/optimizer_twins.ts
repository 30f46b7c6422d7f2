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

/** Schedule-free AdamW, algorithm 1 of Defazio et al. 2024 (arXiv 2405.15682): the slots are v, z and the average x. */
export function scheduleFreeTwin(
  { rates, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weightDecay = 0 }: {
    /** Of each update, from the first. */
    readonly rates: readonly number[];
    readonly beta1?: number;
    readonly beta2?: number;
    readonly eps?: number;
    readonly weightDecay?: number;
  },
): OptimizerTwin {
  return ([y, v = 0, z = y, x = y], g, t) => {
    const [z1, x1] = t === 1 ? [y, y] : [z, x];
    const nextV = beta2 * v + (1 - beta2) * g * g;
    const vHat = nextV / (1 - beta2 ** t);
    const rate = rates[t - 1] ?? NaN;
    const nextZ = z1 - rate * g / (Math.sqrt(vHat) + eps) - rate * weightDecay * y;
    const squares = rates.slice(0, t).map((each) => each * each);
    const c = rate * rate / squares.reduce((sum, each) => sum + each, 0);
    const nextX = (1 - c) * x1 + c * nextZ;
    return [(1 - beta1) * nextZ + beta1 * nextX, nextV, nextZ, nextX];
  };
}

/** An optimiser of which the last slot is the exponential moving average of the parameter. */
export function emaTwin(twin: OptimizerTwin, decay: number): OptimizerTwin {
  return (state, g, t) => {
    const mean = state.length > 1 ? state[state.length - 1] ?? NaN : NaN;
    const inner = twin(t === 1 ? [state[0]] : [state[0], ...state.slice(1, -1)], g, t);
    return [...inner, t === 1 ? inner[0] : decay * mean + (1 - decay) * inner[0]];
  };
}

/** A tensor of an optimiser that looks at tensors as a whole: the parameter first, then its slots. */
export type TensorState = readonly [parameter: Float64Array, ...slots: Float64Array[]];

/** One update of one tensor of `rows` rows, in float64. */
export type TensorTwin = (state: TensorState, gradient: Float64Array, t: number, rows: number) => TensorState;

/** LAMB, algorithm 2 of You et al. 2020 (arXiv 1904.00962), with the identity for its function of the norm. */
export function lambTwin(
  { lr, beta1 = 0.9, beta2 = 0.999, eps = 1e-6, weightDecay = 0.01 }: {
    readonly lr: number;
    readonly beta1?: number;
    readonly beta2?: number;
    readonly eps?: number;
    readonly weightDecay?: number;
  },
): TensorTwin {
  return ([x, m = x.map(() => 0), v = x.map(() => 0)], gradient, t) => {
    const nextM = m.map((each, i) => beta1 * each + (1 - beta1) * (gradient[i] ?? NaN));
    const nextV = v.map((each, i) => beta2 * each + (1 - beta2) * (gradient[i] ?? NaN) ** 2);
    const u = x.map((each, i) => {
      const [mHat, vHat] = [(nextM[i] ?? NaN) / (1 - beta1 ** t), (nextV[i] ?? NaN) / (1 - beta2 ** t)];
      return mHat / (Math.sqrt(vHat) + eps) + weightDecay * each;
    });
    const [ofX, ofU] = [normOf(x), normOf(u)];
    const ratio = ofX > 0 && ofU > 0 ? ofX / ofU : 1;
    return [x.map((each, i) => each - lr * ratio * (u[i] ?? NaN)), nextM, nextV];
  };
}

/** Muon as Keller Jordan's post and its code have it, in float64. */
export function muonTwin(
  { lr, momentum = 0.95, nesterov = true, steps = 5, weightDecay = 0 }: {
    readonly lr: number;
    readonly momentum?: number;
    readonly nesterov?: boolean;
    readonly steps?: number;
    readonly weightDecay?: number;
  },
): TensorTwin {
  return ([p, buffer = p.map(() => 0)], gradient, _, rows) => {
    const next = buffer.map((each, i) => momentum * each + (gradient[i] ?? NaN));
    const update = nesterov ? next.map((each, i) => (gradient[i] ?? NaN) + momentum * each) : next;
    const columns = p.length / rows;
    const direction = newtonSchulz5(update, rows, columns, steps);
    const scale = Math.max(1, rows / columns) ** 0.5;
    return [p.map((each, i) => each * (1 - lr * weightDecay) - lr * scale * (direction[i] ?? NaN)), next];
  };
}

/** `zeropower_via_newtonschulz5` of the post, which also turns a tall matrix round. */
function newtonSchulz5(g: Float64Array, rows: number, columns: number, steps: number): Float64Array {
  if (rows > columns) return transposed(newtonSchulz5(transposed(g, rows), columns, rows, steps), columns);
  const norm = normOf(g) + 1e-7;
  let x = g.map((each) => each / norm);
  for (let step = 0; step < steps; step++) {
    const a = product(x, transposed(x, rows), rows);
    const squared = product(a, a, rows);
    const b = a.map((each, i) => -4.775 * each + 2.0315 * (squared[i] ?? NaN));
    const change = product(b, x, rows);
    x = x.map((each, i) => 3.4445 * each + (change[i] ?? NaN));
  }
  return x;
}

/** The product of a matrix of `rows` rows and one that fits. */
function product(a: Float64Array, b: Float64Array, rows: number): Float64Array {
  const inner = a.length / rows;
  const columns = b.length / inner;
  return Float64Array.from({ length: rows * columns }, (_, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    let total = 0;
    for (let k = 0; k < inner; k++) total += (a[row * inner + k] ?? NaN) * (b[k * columns + column] ?? NaN);
    return total;
  });
}

function transposed(a: Float64Array, rows: number): Float64Array {
  const columns = a.length / rows;
  return a.map((_, at) => a[(at % rows) * columns + Math.floor(at / rows)] ?? NaN);
}

function normOf(x: Float64Array): number {
  return Math.sqrt(x.reduce((total, each) => total + each * each, 0));
}
