import { add, mul } from "../../graph/ops/arithmetic.ts";
import { relu as reluOf } from "../../graph/ops/piecewise.ts";
import { sigmoid as sigmoidOf, tanh as tanhOf } from "../../graph/ops/transcendental.ts";
import type { Layer } from "../layer.ts";

/** `max(x, 0)`. */
export function relu(): Layer {
  return (x) => reluOf(x);
}

/** `tanh(x)`. */
export function tanh(): Layer {
  return (x) => tanhOf(x);
}

/** `1 / (1 + exp(-x))`. */
export function sigmoid(): Layer {
  return (x) => sigmoidOf(x);
}

/** `x * sigmoid(x)`, also called swish. */
export function silu(): Layer {
  return (x) => mul(x, sigmoidOf(x));
}

/**
 * The tanh approximation of the Gaussian error linear unit (Hendrycks and Gimpel 2016), `approximate="tanh"`
 * in PyTorch.
 */
export function gelu(): Layer {
  const scale = Math.sqrt(2 / Math.PI);
  return (x) => {
    const cubic = add(x, mul(mul(mul(x, x), x), 0.044715));
    return mul(mul(x, 0.5), add(tanhOf(mul(cubic, scale)), 1));
  };
}
