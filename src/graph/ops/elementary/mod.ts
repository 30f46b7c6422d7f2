import type { Term, WgslFunction } from "../../../kernels/elementwise/expression.ts";
import type { Value } from "../../value.ts";
import { div, mul, neg, sub } from "../arithmetic.ts";
import { binaryOp, type Operand } from "../elementwise.ts";
import { round } from "../piecewise.ts";
import { ANY } from "../requirements.ts";

/**
 * What is left of `a` after taking away `b` a whole number of times: exact, with the sign of `b`, PyTorch's
 * `remainder`. NaN where `b` is 0 or `a` infinite; of integers 0 where `b` is 0.
 */
export const mod: (a: Operand, b: Operand) => Value = binaryOp({
  name: "mod",
  takes: ANY,
  cost: "expensive",
  wgsl(x, y, call) {
    if (x.dtype === "u32") return wholeRemainder(x, y);
    return call(x.dtype === "f32" ? FLOAT_MOD : SIGNED_MOD, x, y);
  },
  // d(a - kb) = da - k db, with k constant where there is a derivative. (a - result) / b is k but for rounding.
  gradients: [
    (outGrad) => outGrad,
    (outGrad, a, b, result) => neg(mul(outGrad, round(div(sub(a, result), b)))),
  ],
});

function wholeRemainder(x: Term, y: Term): string {
  return `select(${x.text} % ${y.text}, Unsigned(), ${y.text} == Unsigned())`;
}

const SIGNED_MOD: WgslFunction = {
  name: "signed_mod",
  code: `fn signed_mod(x: Signed, y: Signed) -> Signed {
  // -1 divides everything, and its own overflow is not to be relied on.
  let is_simple = (y == Signed()) | (y == Signed(-1));
  let rest = x % select(y, Signed(1), is_simple);
  return select(rest, rest + y, (rest != Signed()) & ((rest < Signed()) != (y < Signed())));
}
`,
};

const FLOAT_MOD: WgslFunction = {
  name: "float_mod",
  code:
    `// WGSL's x % y goes by the rounded quotient. This divides the significands as integers, eight bits a turn: at most 32
// turns take the largest exponent down to the smallest.
fn float_mod(x: Float, y: Float) -> Float {
  let x_bits = bitcast<Unsigned>(x) & Unsigned(0x7fffffffu);
  let y_bits = bitcast<Unsigned>(y) & Unsigned(0x7fffffffu);
  let x_exponent = x_bits >> Unsigned(23u);
  let y_exponent = y_bits >> Unsigned(23u);
  let y_digits = (y_bits & Unsigned(0x7fffffu)) | Unsigned(0x800000u);
  var digits = ((x_bits & Unsigned(0x7fffffu)) | Unsigned(0x800000u)) % y_digits;
  let is_smaller = x_bits < y_bits;
  var left = select(x_exponent - y_exponent, Unsigned(), is_smaller);
  for (var turn = 0u; turn < 32u; turn++) {
    let shift = min(left, Unsigned(8u));
    digits = (digits << shift) % y_digits;
    left -= shift;
  }
  let unit = bitcast<Float>(y_exponent << Unsigned(23u));
  let rest = select(Float(digits) * 0x1p-23 * unit, bitcast<Float>(x_bits), is_smaller);
  let is_minus = bitcast<Signed>(x) < Signed();
  let signed_rest = select(rest, -rest, is_minus);
  let result = select(signed_rest, signed_rest + y, (rest != Float()) & (is_minus != (y < Float())));
  let no_rest = (x_exponent == Unsigned(255u)) | (y_exponent == Unsigned()) | is_nan(y);
  return select(result, Float(from_bits(0x7fc00000u)), no_rest);
}
`,
};
