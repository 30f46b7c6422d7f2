import type { Value } from "../../value.ts";
import { greaterEqual, lessEqual, where } from "../comparison.ts";
import { binaryOp, type Operand } from "../elementwise.ts";
import { MAX_OR_NAN, MIN_OR_NAN } from "../piecewise.ts";
import { ANY } from "../requirements.ts";

/**
 * `a` where it is from `low` to `high`, and the nearer of the two elsewhere; an infinite one does not limit. NaN
 * stays, and `high` wins where it is below `low`. As in PyTorch's `clamp` the gradient passes where `a` is within the
 * limits, both of them included. Throws `RangeError` for a limit that is NaN.
 */
export function clip(a: Value, low: number, high: number): Value {
  if (Number.isNaN(low) || Number.isNaN(high)) {
    throw new RangeError(
      `clip: the limits are numbers, not ${low} and ${high}; leave one open with Infinity`,
    );
  }
  const raised = low === -Infinity ? a : clampMin(a, low);
  return high === Infinity ? raised : clampMax(raised, high);
}

/** The larger of `a` and a limit; the gradient passes at the limit too. */
const clampMin: (a: Operand, limit: Operand) => Value = binaryOp({
  name: "clampMin",
  takes: ANY,
  wgsl: (x, y, call) => x.dtype === "f32" ? call(MAX_OR_NAN, x, y) : `max(${x.text}, ${y.text})`,
  gradients: [(outGrad, a, limit) => where(greaterEqual(a, limit), outGrad, 0)],
});

/** The smaller of `a` and a limit; the gradient passes at the limit too. */
const clampMax: (a: Operand, limit: Operand) => Value = binaryOp({
  name: "clampMax",
  takes: ANY,
  wgsl: (x, y, call) => x.dtype === "f32" ? call(MIN_OR_NAN, x, y) : `min(${x.text}, ${y.text})`,
  gradients: [(outGrad, a, limit) => where(lessEqual(a, limit), outGrad, 0)],
});
