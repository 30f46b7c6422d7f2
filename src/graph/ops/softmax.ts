import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import type { Value } from "../value.ts";
import { div, sub } from "./arithmetic.ts";
import { max } from "./reduce.ts";
import { sum } from "./sum.ts";
import { exp, log } from "./transcendental.ts";
import { stopGradient } from "./views.ts";

/** Options of {@link softmax} and {@link logSoftmax}. */
export interface SoftmaxOptions {
  /** The axis that sums to 1, the last when left out. */
  readonly axis?: number;
}

/** Every option of {@link SoftmaxOptions}. */
export const SOFTMAX_OPTIONS: OptionNames<SoftmaxOptions> = { axis: true };

/**
 * `e^x / Σ e^x` along an axis, after taking away the largest so that nothing overflows. The sum is exact to 4.8e-7 of itself,
 * whatever its length; besides, each result has the error of the adapter's `exp`, for which WGSL allows
 * `3 + 2 |x - max|` units in the last place, and of a division.
 */
export function softmax(value: Value, options: SoftmaxOptions = {}): Value {
  checkOptions("softmax()", options, SOFTMAX_OPTIONS, "{ axis: 0 }");
  const powers = exp(shifted(value, options));
  return div(powers, sum(powers, alongAxis(options)));
}

/**
 * `log(softmax(x))`, exact also where softmax rounds to 0: off by the rounding of `x - max`, and by at most 1e-6 and the error of the
 * adapter's `exp` and `log`, whatever the length.
 */
export function logSoftmax(value: Value, options: SoftmaxOptions = {}): Value {
  checkOptions("logSoftmax()", options, SOFTMAX_OPTIONS, "{ axis: 0 }");
  const shiftedValue = shifted(value, options);
  return sub(shiftedValue, log(sum(exp(shiftedValue), alongAxis(options))));
}

/** The shift cancels out of the result, so its own gradient is zero and is left out. */
function shifted(value: Value, options: SoftmaxOptions): Value {
  return sub(value, stopGradient(max(value, alongAxis(options))));
}

function alongAxis(options: SoftmaxOptions): { axes: number; keepDims: true } {
  return { axes: options.axis ?? -1, keepDims: true };
}
