import type { WgslFunction } from "../../../kernels/elementwise/expression.ts";
import type { Value } from "../../value.ts";
import { add, div, mul, neg, square } from "../arithmetic.ts";
import { binaryOp, type Operand } from "../elementwise.ts";
import { FLOAT } from "../requirements.ts";

/**
 * The angle of the point (`x`, `y`) in radians, from -π to π, by C's rules for zeros and infinities, to 8 units in the
 * last place. The gradient at the origin is NaN.
 */
export const atan2: (y: Operand, x: Operand) => Value = binaryOp({
  name: "atan2",
  takes: FLOAT,
  cost: "expensive",
  wgsl: (y, x, call) => call(ATAN2, y, x),
  // d atan2(y, x) = (x dy - y dx) / (x² + y²).
  gradients: [
    (outGrad, y, x) => div(mul(outGrad, x), add(square(x), square(y))),
    (outGrad, y, x) => neg(div(mul(outGrad, y), add(square(x), square(y)))),
  ],
});

const ATAN2: WgslFunction = {
  name: "atan2_of",
  code:
    `// WGSL's atan2 may be off by 4096 units, and leaves open what it makes of zeros and infinities. Here the arc tangent of
// the smaller over the larger is a fit in its square (off by 2e-8 of it), after π/4 was taken away above tan(π/8).
fn atan2_of(y: Float, x: Float) -> Float {
  let infinity = Float(from_bits(0x7f800000u));
  let largest = max(abs(x), abs(y));
  let smallest = min(abs(x), abs(y));
  // Quotients by more than 2^126 may be 0.
  let scale = select(Float(1.0), Float(0x1p-64), largest > Float(0x1p64));
  let both = (smallest == infinity) & (largest == infinity);
  let quotient = select((smallest * scale) / (largest * scale), Float(), (largest == Float()) | (largest == infinity));
  let t = select(quotient, Float(1.0), both);
  let is_wide = t > Float(0.41421356);
  let u = select(t, (t - Float(1.0)) / (t + Float(1.0)), is_wide);
  let z = u * u;
  let tail = Float(0.19974491) + z * (Float(-0.13852246) + z * Float(0.079871476));
  let arc = u + u * z * (Float(-0.333328009) + z * tail);
  let acute = select(arc, Float(0.78539816) + arc, is_wide);
  let octants = select(acute, Float(1.57079633) - acute, abs(y) > abs(x));
  let is_left = (bitcast<Unsigned>(x) >> Unsigned(31u)) == Unsigned(1u);
  let half = select(octants, Float(3.14159265) - octants, is_left);
  let is_below = (bitcast<Unsigned>(y) >> Unsigned(31u)) == Unsigned(1u);
  let result = select(half, -half, is_below);
  return select(select(result, x, is_nan(x)), y, is_nan(y));
}
`,
};
