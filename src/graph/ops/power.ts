import type { Term, WgslFunction } from "../../kernels/elementwise/expression.ts";
import { isResultOf } from "../create_value.ts";
import type { Value } from "../value.ts";
import { mul, sub } from "./arithmetic.ts";
import { equal, greaterEqual, logicalAnd, where } from "./comparison.ts";
import { binaryOp, type Operand } from "./elementwise.ts";
import { FLOAT } from "./requirements.ts";
import { constant, numberOp } from "./sources.ts";
import { log } from "./transcendental.ts";

/**
 * `a` to the power `b`, `f32`, as C and IEEE 754 have it. A negative `a` has one where `b` is whole, and NaN
 * elsewhere; `a^0` and `1^b` are 1, also of NaN.
 */
export const pow: (a: Operand, b: Operand) => Value = binaryOp({
  name: "pow",
  takes: FLOAT,
  cost: "expensive",
  wgsl: (x, y, call) => exactPower(x, y) ?? call(POWER, x, y),
  // d(a^b) = b a^(b-1) da + a^b log(a) db. As in PyTorch the first is 0 where b is 0, the second where a is 0 and b is
  // not negative.
  gradients: [
    (outGrad, a, b) => where(equal(b, 0), 0, mul(outGrad, mul(b, pow(a, oneLess(b))))),
    (outGrad, a, b, result) => {
      const isFlat = logicalAnd(equal(a, 0), greaterEqual(b, 0));
      return where(isFlat, 0, mul(outGrad, mul(result, log(a))));
    },
  ],
});

const POWER: WgslFunction = {
  name: "power",
  code:
    `// WGSL's pow is exp2(y * log2(x)): undefined for a negative x, which has a power when y is whole, and for what C
// and IEEE 754 list: x^0 and 1^y are 1, also where the other is NaN; (-1)^±infinity is 1; powers of 0 and
// infinity have a sign.
fn power(x: Float, y: Float) -> Float {
  let infinity = Float(from_bits(0x7f800000u));
  // A subnormal number is 0: Mesa takes the logarithm of each of them for that of 2^-127.
  let magnitude = select(abs(x), Float(), abs(x) < Float(from_bits(0x00800000u)));
  let is_endless = abs(y) == infinity;
  let grows = (magnitude > Float(1.0)) == (y > Float());
  let is_limit = (magnitude == Float()) | (magnitude == infinity) | is_endless;
  let result = select(pow(magnitude, y), select(Float(), infinity, grows), is_limit);
  let is_whole = floor(y) == y;
  let is_odd = is_whole & (floor(y * 0.5) != y * 0.5) & !is_endless;
  let is_minus = (bitcast<Unsigned>(x) >> Unsigned(31u)) == Unsigned(1u);
  let signed = select(result, -result, is_odd & is_minus);
  let has_no_power = (x < Float()) & (magnitude < infinity) & !is_whole;
  let nan = Float(from_bits(0x7fc00000u));
  let defined = select(signed, nan, has_no_power | is_nan(x) | is_nan(y));
  let is_one = ((y == Float()) & !is_nan(y)) | ((x == Float(1.0)) & !is_nan(x));
  return select(defined, Float(1.0), is_one | ((magnitude == Float(1.0)) & is_endless & !is_nan(x)));
}
`,
};

/** Powers that a multiplication or two give exactly. A general power is the exponential of a logarithm. */
function exactPower({ text }: Term, { constant: exponent }: Term): string | undefined {
  switch (exponent) {
    case 1:
      return text;
    case 2:
      return `${text} * ${text}`;
    case 3:
      return `${text} * ${text} * ${text}`;
    case -1:
      return `Float(1.0) / ${text}`;
    default:
      return undefined;
  }
}

/** `b - 1`; of a number a number, since some powers are exact where the exponent is known. */
function oneLess(b: Value): Value {
  return isResultOf(numberOp, b) ? constant(b.attributes.value - 1) : sub(b, 1);
}
