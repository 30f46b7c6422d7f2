import { checkOptions } from "../../base/options/options.ts";
import {
  elu as eluOf,
  ELU_OPTIONS,
  type EluOptions,
  gelu as geluOf,
  GELU_OPTIONS,
  type GeluOptions,
  hardSwish as hardSwishOf,
  LEAKY_RELU_OPTIONS,
  leakyRelu as leakyReluOf,
  type LeakyReluOptions,
  mish as mishOf,
  selu as seluOf,
  silu as siluOf,
} from "../../graph/ops/elementary/activations.ts";
import {
  logSigmoid as logSigmoidOf,
  softplus as softplusOf,
} from "../../graph/ops/elementary/exponentials.ts";
import { relu as reluOf } from "../../graph/ops/piecewise.ts";
import { sigmoid as sigmoidOf, tanh as tanhOf } from "../../graph/ops/transcendental.ts";
import type { Layer } from "../layer.ts";

/** `max(x, 0)`. */
export function relu(): Layer {
  return (x) => reluOf(x);
}

/** `x` where it is positive, else `negativeSlope * x`. */
export function leakyRelu(options: LeakyReluOptions = {}): Layer {
  checkOptions("leakyRelu()", options, LEAKY_RELU_OPTIONS, "{ negativeSlope: 0.2 }");
  return (x) => leakyReluOf(x, options);
}

/** `x` where it is positive, else `alpha (e^x - 1)` (Clevert, Unterthiner and Hochreiter 2015). */
export function elu(options: EluOptions = {}): Layer {
  checkOptions("elu()", options, ELU_OPTIONS, "{ alpha: 0.5 }");
  return (x) => eluOf(x, options);
}

/** `elu` scaled to keep mean 0 and variance 1 (Klambauer and others 2017). */
export function selu(): Layer {
  return (x) => seluOf(x);
}

/** `tanh(x)`. */
export function tanh(): Layer {
  return (x) => tanhOf(x);
}

/** `1 / (1 + exp(-x))`. */
export function sigmoid(): Layer {
  return (x) => sigmoidOf(x);
}

/** `log(sigmoid(x))`. */
export function logSigmoid(): Layer {
  return (x) => logSigmoidOf(x);
}

/** `log(1 + exp(x))`. */
export function softplus(): Layer {
  return (x) => softplusOf(x);
}

/** `x * sigmoid(x)`, also called swish. */
export function silu(): Layer {
  return (x) => siluOf(x);
}

/** `x * tanh(softplus(x))` (Misra 2019). */
export function mish(): Layer {
  return (x) => mishOf(x);
}

/** `x * min(max(x + 3, 0), 6) / 6` (Howard and others 2019). */
export function hardSwish(): Layer {
  return (x) => hardSwishOf(x);
}

/**
 * `x` times the probability that a normal number is below it (Hendrycks and Gimpel 2016): by the error function, or
 * with `{ approximate: "tanh" }` by the usual approximation. As in PyTorch.
 */
export function gelu(options: GeluOptions = {}): Layer {
  checkOptions("gelu()", options, GELU_OPTIONS, '{ approximate: "tanh" }');
  return (x) => geluOf(x, options);
}
