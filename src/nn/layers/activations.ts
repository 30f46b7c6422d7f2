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
import { type Layer, layer } from "../layer.ts";

/** `max(x, 0)`. */
export function relu(): Layer {
  return layer((x) => reluOf(x), "relu()");
}

/** `x` where it is positive, else `negativeSlope * x`. */
export function leakyRelu(options: LeakyReluOptions = {}): Layer {
  checkOptions("leakyRelu()", options, LEAKY_RELU_OPTIONS, "{ negativeSlope: 0.2 }");
  return layer((x) => leakyReluOf(x, options), "leakyRelu()");
}

/** `x` where it is positive, else `alpha (e^x - 1)` (Clevert, Unterthiner and Hochreiter 2015). */
export function elu(options: EluOptions = {}): Layer {
  checkOptions("elu()", options, ELU_OPTIONS, "{ alpha: 0.5 }");
  return layer((x) => eluOf(x, options), "elu()");
}

/** `elu` scaled to keep mean 0 and variance 1 (Klambauer and others 2017). */
export function selu(): Layer {
  return layer((x) => seluOf(x), "selu()");
}

/** `tanh(x)`. */
export function tanh(): Layer {
  return layer((x) => tanhOf(x), "tanh()");
}

/** `1 / (1 + exp(-x))`. */
export function sigmoid(): Layer {
  return layer((x) => sigmoidOf(x), "sigmoid()");
}

/** `log(sigmoid(x))`. */
export function logSigmoid(): Layer {
  return layer((x) => logSigmoidOf(x), "logSigmoid()");
}

/** `log(1 + exp(x))`. */
export function softplus(): Layer {
  return layer((x) => softplusOf(x), "softplus()");
}

/** `x * sigmoid(x)`, also called swish. */
export function silu(): Layer {
  return layer((x) => siluOf(x), "silu()");
}

/** `x * tanh(softplus(x))` (Misra 2019). */
export function mish(): Layer {
  return layer((x) => mishOf(x), "mish()");
}

/** `x * min(max(x + 3, 0), 6) / 6` (Howard and others 2019). */
export function hardSwish(): Layer {
  return layer((x) => hardSwishOf(x), "hardSwish()");
}

/**
 * `x` times the probability that a normal number is below it (Hendrycks and Gimpel 2016): by the error function, or
 * with `{ approximate: "tanh" }` by the usual approximation. As in PyTorch.
 */
export function gelu(options: GeluOptions = {}): Layer {
  checkOptions("gelu()", options, GELU_OPTIONS, '{ approximate: "tanh" }');
  return layer((x) => geluOf(x, options), "gelu()");
}
