/** A two-layer perceptron with softmax cross-entropy in float64: `logits = relu(x W1ᵀ + b1) W2ᵀ + b2`. */
export interface MlpWeights {
  /** `[hidden, inputs]` */
  readonly w1: Float64Array;
  readonly b1: Float64Array;
  /** `[classes, hidden]` */
  readonly w2: Float64Array;
  readonly b2: Float64Array;
}

export interface MlpSizes {
  readonly inputs: number;
  readonly hidden: number;
  readonly classes: number;
}

export const KEYS: readonly (keyof MlpWeights)[] = ["w1", "b1", "w2", "b2"];

export function mapWeights(make: (key: keyof MlpWeights) => Float64Array): MlpWeights {
  return { w1: make("w1"), b1: make("b1"), w2: make("w2"), b2: make("b2") };
}

/** `out[i, o] = sum_k x[i, k] w[o, k] + b[o]`. */
function affine(
  x: Float64Array,
  w: Float64Array,
  b: Float64Array,
  rows: number,
  inputs: number,
): Float64Array {
  const outputs = b.length;
  const out = new Float64Array(rows * outputs);
  for (let i = 0; i < rows; i++) {
    for (let o = 0; o < outputs; o++) {
      let sum = b[o] as number;
      for (let k = 0; k < inputs; k++) sum += (x[i * inputs + k] as number) * (w[o * inputs + k] as number);
      out[i * outputs + o] = sum;
    }
  }
  return out;
}

/** Gradients of an affine layer: of its weights, its bias and its input. */
function affineGradient(x: Float64Array, w: Float64Array, g: Float64Array, rows: number, inputs: number) {
  const outputs = g.length / rows;
  const dw = new Float64Array(w.length);
  const db = new Float64Array(outputs);
  const dx = new Float64Array(x.length);
  for (let i = 0; i < rows; i++) {
    for (let o = 0; o < outputs; o++) {
      const upstream = g[i * outputs + o] as number;
      db[o] = (db[o] as number) + upstream;
      for (let k = 0; k < inputs; k++) {
        dw[o * inputs + k] = (dw[o * inputs + k] as number) + upstream * (x[i * inputs + k] as number);
        dx[i * inputs + k] = (dx[i * inputs + k] as number) + upstream * (w[o * inputs + k] as number);
      }
    }
  }
  return { dw, db, dx };
}

/** Mean loss over the batch, and its gradients. */
export function lossAndGradients(
  weights: MlpWeights,
  sizes: MlpSizes,
  x: Float64Array,
  labels: ArrayLike<number>,
): { loss: number; gradients: MlpWeights; logits: Float64Array } {
  const rows = labels.length;
  const { inputs, hidden, classes } = sizes;
  const before = affine(x, weights.w1, weights.b1, rows, inputs);
  const active = before.map((value) => Math.max(0, value));
  const logits = affine(active, weights.w2, weights.b2, rows, hidden);
  const dLogits = new Float64Array(logits.length);
  let loss = 0;
  for (let i = 0; i < rows; i++) {
    const row = logits.subarray(i * classes, (i + 1) * classes);
    const top = Math.max(...row);
    const total = row.reduce((sum, value) => sum + Math.exp(value - top), 0);
    const label = labels[i] as number;
    loss += (top + Math.log(total) - (row[label] as number)) / rows;
    for (let c = 0; c < classes; c++) {
      dLogits[i * classes + c] = (Math.exp((row[c] as number) - top) / total - (c === label ? 1 : 0)) / rows;
    }
  }
  const second = affineGradient(active, weights.w2, dLogits, rows, hidden);
  const dBefore = second.dx.map((value, index) => (before[index] as number) > 0 ? value : 0);
  const first = affineGradient(x, weights.w1, dBefore, rows, inputs);
  return { loss, logits, gradients: { w1: first.dw, b1: first.db, w2: second.dw, b2: second.db } };
}

/** One update in place. `step` counts from 0. */
export type ReferenceUpdate = (weights: MlpWeights, gradients: MlpWeights, step: number) => void;

/** PyTorch's SGD. */
export function referenceSgd(options: {
  learningRate: number;
  momentum: number;
  nesterov: boolean;
  weightDecay: number;
}): ReferenceUpdate {
  const { learningRate, momentum, nesterov, weightDecay } = options;
  const velocity = new Map<string, Float64Array>();
  return (weights, gradients) => {
    for (const key of KEYS) {
      const w = weights[key];
      const v = velocity.get(key) ?? new Float64Array(w.length);
      velocity.set(key, v);
      for (let i = 0; i < w.length; i++) {
        const g = (gradients[key][i] as number) + weightDecay * (w[i] as number);
        // PyTorch's first velocity is the gradient itself, which is what zeros before it give.
        v[i] = momentum * (v[i] as number) + g;
        w[i] = (w[i] as number) -
          learningRate * (nesterov ? g + momentum * (v[i] as number) : v[i] as number);
      }
    }
  };
}

/** PyTorch's AdamW. */
export function referenceAdamW(options: {
  learningRate: number;
  beta1: number;
  beta2: number;
  epsilon: number;
  weightDecay: number;
}): ReferenceUpdate {
  const { learningRate, beta1, beta2, epsilon, weightDecay } = options;
  const first = new Map<string, Float64Array>();
  const second = new Map<string, Float64Array>();
  return (weights, gradients, step) => {
    for (const key of KEYS) {
      const w = weights[key];
      const m = first.get(key) ?? new Float64Array(w.length);
      const v = second.get(key) ?? new Float64Array(w.length);
      first.set(key, m);
      second.set(key, v);
      for (let i = 0; i < w.length; i++) {
        const g = gradients[key][i] as number;
        m[i] = beta1 * (m[i] as number) + (1 - beta1) * g;
        v[i] = beta2 * (v[i] as number) + (1 - beta2) * g * g;
        const mHat = (m[i] as number) / (1 - beta1 ** (step + 1));
        const vHat = (v[i] as number) / (1 - beta2 ** (step + 1));
        w[i] = (w[i] as number) * (1 - learningRate * weightDecay) -
          learningRate * mHat / (Math.sqrt(vHat) + epsilon);
      }
    }
  };
}
