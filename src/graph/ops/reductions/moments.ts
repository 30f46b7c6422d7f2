import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { elementCount, formatShape } from "../../../tensor/shape.ts";
import type { Value } from "../../value.ts";
import { add, div, square, sub } from "../arithmetic.ts";
import { equal, isFinite as isFiniteValue, where } from "../comparison.ts";
import { abs } from "../piecewise.ts";
import { pow } from "../power.ts";
import { max, mean } from "../reduce.ts";
import { REDUCTION_OPTIONS, type ReductionOptions, resolveAxes } from "../reduction_axes.ts";
import { requireDType } from "../requirements.ts";
import { sum } from "../sum.ts";
import { exp, log, sqrt } from "../transcendental.ts";
import { reshape, stopGradient } from "../views.ts";

/** Options of {@link variance}. */
export interface VarianceOptions extends ReductionOptions {
  /**
   * What is taken from the number of elements that is divided by: 1 when left out, the unbiased estimate; 0 is the
   * mean square.
   */
  readonly correction?: number | undefined;
}

/** Every option of {@link VarianceOptions}. */
export const VARIANCE_OPTIONS: OptionNames<VarianceOptions> = { ...REDUCTION_OPTIONS, correction: true };

/**
 * Variance over `options.axes`, PyTorch's `var`: the mean first, then the squares of the differences from it. Off by
 * at most 1e-6 of itself and the square of 7.8e-7 of the mean magnitude, whatever the length. NaN where no more
 * elements than the correction are there.
 */
export function variance(value: Value, options: VarianceOptions = {}): Value {
  const { axes, keepDims = false, correction = 1 } = checkOptions(
    "variance()",
    options,
    VARIANCE_OPTIONS,
    "{ axes: 0, correction: 0 }",
  );
  requireDType("variance", value, ["f32"]);
  const reduced = resolveAxes("variance", value.shape, axes);
  const count = elementCount(value.shape.filter((_, axis) => reduced.has(axis)));
  const along = axes === undefined ? {} : { axes };
  const differences = sub(value, mean(value, { ...along, keepDims: true }));
  return div(sum(square(differences), { ...along, keepDims }), Math.max(count - correction, 0));
}

/** Options of {@link norm}. */
export interface NormOptions extends ReductionOptions {
  /** Which norm: 2 when left out, the root of the sum of squares; from 1 on, `Infinity` being the largest magnitude. */
  readonly order?: number | undefined;
}

/** Every option of {@link NormOptions}. */
export const NORM_OPTIONS: OptionNames<NormOptions> = { ...REDUCTION_OPTIONS, order: true };

/**
 * Norm over `options.axes`, PyTorch's `linalg.vector_norm`: `(Σ |x|^order)^(1 / order)`. The norms of order 1 and 2
 * are off by at most 1e-6 of themselves at any length, as long as sums and squares stay within f32 (magnitudes from
 * 1e-19 to 1e19). The gradient of a norm that is 0 is 0.
 */
export function norm(value: Value, options: NormOptions = {}): Value {
  const { axes, keepDims = false, order = 2 } = checkOptions(
    "norm()",
    options,
    NORM_OPTIONS,
    "{ axes: 0, order: 1 }",
  );
  requireDType("norm", value, ["f32"]);
  if (!(order >= 1)) throw new RangeError(`norm: the order is a number from 1 on, not ${order}`);
  const along = axes === undefined ? { keepDims } : { axes, keepDims };
  if (order === 1) return sum(abs(value), along);
  if (order === Infinity) return max(abs(value), along);
  const total = sum(order === 2 ? square(value) : pow(abs(value), order), along);
  // The root has an infinite derivative at 0: it is taken of 1 there.
  const isZero = equal(total, 0);
  const safe = where(isZero, 1, total);
  return where(isZero, 0, order === 2 ? sqrt(safe) : pow(safe, 1 / order));
}

/**
 * `log Σ e^x` over `options.axes`, after taking away the largest so that nothing overflows: off by a rounding of the
 * largest, and by at most 1e-6 and the error of the adapter's `exp` and `log`. -infinity of nothing but -infinity.
 * Throws `TypeError` when there is no element.
 */
export function logSumExp(value: Value, options: ReductionOptions = {}): Value {
  checkOptions("logSumExp()", options, REDUCTION_OPTIONS, "{ axes: 0 }");
  requireDType("logSumExp", value, ["f32"]);
  const reduced = resolveAxes("logSumExp", value.shape, options.axes);
  if (elementCount(value.shape.filter((_, axis) => reduced.has(axis))) === 0) {
    throw new TypeError(
      `logSumExp: shape ${formatShape(value.shape)} has no element on an axis that is reduced`,
    );
  }
  const largest = stopGradient(max(value, { ...options, keepDims: true }));
  // The shift cancels out of the result; an infinite one would leave NaN.
  const shift = where(isFiniteValue(largest), largest, 0);
  const total = add(log(sum(exp(sub(value, shift)), { ...options, keepDims: true })), shift);
  return options.keepDims === true
    ? total
    : reshape(total, value.shape.filter((_, axis) => !reduced.has(axis)));
}
