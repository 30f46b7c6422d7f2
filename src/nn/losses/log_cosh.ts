import { add, mul, neg, square } from "../../graph/ops/arithmetic.ts";
import { less, where } from "../../graph/ops/comparison.ts";
import { expm1, log1p } from "../../graph/ops/elementary/exponentials.ts";
import { abs } from "../../graph/ops/piecewise.ts";
import { exp } from "../../graph/ops/transcendental.ts";
import type { Value } from "../../graph/value.ts";
import { differenceLoss } from "./element_loss.ts";
import type { ExampleLoss } from "./loss.ts";

/**
 * The mean over an example of `log cosh d` of each error `d`: about `d² / 2` for small ones and `|d| - log 2` for large
 * ones. Output and labels are f32 of one shape `[batch, …]`.
 */
export function logCosh(): ExampleLoss {
  return differenceLoss({ name: "logCosh" }, logCoshOf);
}

/**
 * By two formulas, neither of which takes a difference of nearly equal numbers where it is used, nor overflows where it
 * is not.
 */
function logCoshOf(difference: Value): Value {
  const size = abs(difference);
  const isSmall = less(size, 1);
  // Chosen, as the gradient of a minimum is shared where both are equal.
  const [small, large] = [where(isSmall, size, 1), where(isSmall, 1, size)];
  // cosh d - 1 = (e^d - 1)² e^-d / 2.
  const near = log1p(mul(mul(square(expm1(small)), exp(neg(small))), 0.5));
  const far = add(large, log1p(mul(expm1(mul(large, -2)), 0.5)));
  return where(isSmall, near, far);
}
