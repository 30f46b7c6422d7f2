import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import type { Value } from "../../value.ts";
import { add, mul, square } from "../arithmetic.ts";
import { greater, where } from "../comparison.ts";
import { FLOAT, requireDType } from "../requirements.ts";
import { sigmoid, tanh } from "../transcendental.ts";
import { clip } from "./clip.ts";
import { erf } from "./erf.ts";
import { expm1, softplus } from "./exponentials.ts";

// Composed of other ops, which one kernel computes together. Names and defaults are PyTorch's.

/** Options of {@link leakyRelu}. */
export interface LeakyReluOptions {
  /** What `a` is multiplied by where it is not positive. 0.01 when left out. */
  readonly negativeSlope?: number | undefined;
}

/** Every option of {@link LeakyReluOptions}. */
export const LEAKY_RELU_OPTIONS: OptionNames<LeakyReluOptions> = { negativeSlope: true };

/** `a` where it is positive, else `negativeSlope * a`. */
export function leakyRelu(a: Value, options: LeakyReluOptions = {}): Value {
  const { negativeSlope = 0.01 } = checkOptions(
    "leakyRelu()",
    options,
    LEAKY_RELU_OPTIONS,
    "{ negativeSlope: 0.2 }",
  );
  requireDType("leakyRelu", a, FLOAT);
  return where(greater(a, 0), a, mul(a, negativeSlope));
}

/** Options of {@link elu}. */
export interface EluOptions {
  /** What the result approaches, with a minus, far below 0. 1 when left out. */
  readonly alpha?: number | undefined;
}

/** Every option of {@link EluOptions}. */
export const ELU_OPTIONS: OptionNames<EluOptions> = { alpha: true };

/** `a` where it is positive, else `alpha (e^a - 1)` (Clevert, Unterthiner and Hochreiter 2015). */
export function elu(a: Value, options: EluOptions = {}): Value {
  const { alpha = 1 } = checkOptions("elu()", options, ELU_OPTIONS, "{ alpha: 0.5 }");
  // The branch that is not taken is kept finite: 0 times its derivative would be NaN otherwise.
  return where(greater(a, 0), a, mul(expm1(clip(a, -Infinity, 0)), alpha));
}

/** `scale · elu(a, alpha)` with the constants that keep mean 0 and variance 1 (Klambauer and others 2017). */
export function selu(a: Value): Value {
  return mul(elu(a, { alpha: 1.6732632423543772 }), 1.0507009873554805);
}

/** `a · sigmoid(a)`, also called swish (Ramachandran, Zoph and Le 2017). */
export function silu(a: Value): Value {
  return mul(a, sigmoid(a));
}

/** `a · tanh(softplus(a))` (Misra 2019). */
export function mish(a: Value): Value {
  return mul(a, tanh(softplus(a)));
}

/** `a · min(max(a + 3, 0), 6) / 6` (Howard and others 2019). */
export function hardSwish(a: Value): Value {
  requireDType("hardSwish", a, FLOAT);
  return mul(a, mul(clip(add(a, 3), 0, 6), 1 / 6));
}

/** Options of {@link gelu}. */
export interface GeluOptions {
  /** `"none"`, when left out: by the error function. `"tanh"`: the usual approximation of it. */
  readonly approximate?: "none" | "tanh" | undefined;
}

/** Every option of {@link GeluOptions}. */
export const GELU_OPTIONS: OptionNames<GeluOptions> = { approximate: true };

/** `a` times the probability that a normal number is below it (Hendrycks and Gimpel 2016). */
export function gelu(a: Value, options: GeluOptions = {}): Value {
  const { approximate = "none" } = checkOptions("gelu()", options, GELU_OPTIONS, '{ approximate: "tanh" }');
  requireDType("gelu", a, FLOAT);
  const half = mul(a, 0.5);
  switch (approximate) {
    case "none":
      return mul(half, add(erf(mul(a, Math.SQRT1_2)), 1));
    case "tanh": {
      const cubic = add(a, mul(mul(a, square(a)), 0.044715));
      return mul(half, add(tanh(mul(cubic, Math.sqrt(2 / Math.PI))), 1));
    }
    default:
      throw new TypeError(`gelu: approximate is "none" or "tanh", not ${approximate satisfies never}`);
  }
}
