import { add, mul, sub } from "../../graph/ops/arithmetic.ts";
import { less, where } from "../../graph/ops/comparison.ts";
import { clip } from "../../graph/ops/elementary/clip.ts";
import { randomUniform } from "../../graph/ops/random.ts";
import { log, sqrt } from "../../graph/ops/transcendental.ts";
import type { Value } from "../../graph/value.ts";
import type { Initializer } from "../initializers.ts";

/**
 * Normal with this mean and deviation, of which only what lies from `low` to `high` is drawn: as PyTorch's
 * `trunc_normal_`, whose limits are numbers and not deviations. Their default is two deviations around the mean, which
 * is Keras' `TruncatedNormal`, and PyTorch's default where the mean is 0 and the deviation 1. The deviation of what is
 * drawn is smaller: 0.88 of it by default.
 *
 * By the inverse of the normal distribution (Giles 2010, "Approximating the erfinv function"), so that each element
 * takes one random number.
 */
export function truncatedNormal(
  mean = 0,
  deviation = 1,
  low: number = mean - 2 * deviation,
  high: number = mean + 2 * deviation,
): Initializer {
  if (!(deviation > 0 && low < high)) {
    throw new RangeError(
      `truncatedNormal: the deviation is above 0 and low below high, found ${deviation}, ${low} and ${high}`,
    );
  }
  const levelOf = (limit: number): number => errorFunction((limit - mean) / (deviation * Math.SQRT2));
  const [first, last] = [levelOf(low), levelOf(high)];
  if (!(first < last)) {
    throw new RangeError(
      `truncatedNormal: from ${low} to ${high} there is nothing of a normal distribution of mean ${mean} and deviation ` +
        `${deviation}`,
    );
  }
  return (shape, stream) => {
    const level = add(mul(randomUniform(shape, { stream }), last - first), first);
    // Short of 1, where the inverse is infinite.
    const inverse = inverseErrorFunction(clip(level, 2 ** -24 - 1, 1 - 2 ** -24));
    return clip(add(mul(inverse, deviation * Math.SQRT2), mean), low, high);
  };
}

/** The error function, by a series of positive terms. */
function errorFunction(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= 2 * x * x / (2 * n + 1);
    sum += term;
  }
  return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
}

/** Of `log(1 - x²)` up to 5 below 0, about 2.5; and of its root beyond, about 3. The largest power comes first. */
const NEAR = [
  2.81022636e-8,
  3.43273939e-7,
  -3.5233877e-6,
  -4.39150654e-6,
  2.1858087e-4,
  -1.25372503e-3,
  -4.17768164e-3,
  0.246640727,
  1.50140941,
];
const FAR = [
  -2.00214257e-4,
  1.00950558e-4,
  1.34934322e-3,
  -3.67342844e-3,
  5.73950773e-3,
  -7.6224613e-3,
  9.43887047e-3,
  1.00167406,
  2.83297682,
];

function inverseErrorFunction(x: Value): Value {
  const depth = mul(log(mul(sub(1, x), add(x, 1))), -1);
  const near = polynomial(NEAR, sub(depth, 2.5));
  // The root is taken of 5 where the other one counts.
  const far = polynomial(FAR, sub(sqrt(where(less(depth, 5), 5, depth)), 3));
  return mul(where(less(depth, 5), near, far), x);
}

function polynomial([first = 0, ...rest]: readonly number[], x: Value): Value {
  const [second = 0, ...others] = rest;
  return others.reduce((sum, next) => add(mul(sum, x), next), add(mul(x, first), second));
}
