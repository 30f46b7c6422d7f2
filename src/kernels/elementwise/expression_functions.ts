import { floatBitsWgsl, type FloatType } from "../float_bits.ts";

/** Functions that generated expressions call, by name. */
export type ExpressionFunction =
  | "max_or_nan"
  | "min_or_nan"
  | "relu"
  | "sign_or_nan"
  | "sigmoid"
  | "tanh_of"
  | "power"
  | "remainder"
  | "signed_from_float"
  | "unsigned_from_float";

/**
 * The shader types of an expression that computes one element at a time, or four, under names that do not tell which,
 * so that everything else reads the same.
 */
export function expressionTypesWgsl(width: 1 | 4): string {
  const type = (scalar: string) => width === 1 ? scalar : `vec4<${scalar}>`;
  return `alias Float = ${type("f32")};
alias Signed = ${type("i32")};
alias Unsigned = ${type("u32")};
alias Logical = ${type("bool")};
`;
}

/** WGSL of `functions`, after the functions on bits that they and literals need. */
export function expressionFunctionsWgsl(functions: ReadonlySet<ExpressionFunction>, width: 1 | 4): string {
  const float: FloatType = width === 1 ? "f32" : "vec4<f32>";
  const chosen = Object.entries(FUNCTIONS).filter(([name]) => functions.has(name as ExpressionFunction));
  return [floatBitsWgsl(float), ...chosen.map(([, code]) => code)].join("\n");
}

/**
 * WGSL leaves open what `max`, `min`, `sign` and casts make of NaN, and Mesa makes a number of it. Here NaN stays
 * NaN, since a training run that has gone wrong has to show it.
 */
const FUNCTIONS: Readonly<Record<ExpressionFunction, string>> = {
  max_or_nan: `fn max_or_nan(a: Float, b: Float) -> Float {
  return select(select(max(a, b), b, is_nan(b)), a, is_nan(a));
}
`,
  min_or_nan: `fn min_or_nan(a: Float, b: Float) -> Float {
  return select(select(min(a, b), b, is_nan(b)), a, is_nan(a));
}
`,
  relu: `fn relu(x: Float) -> Float {
  return select(max(x, Float()), x, is_nan(x));
}
`,
  sign_or_nan: `fn sign_or_nan(x: Float) -> Float {
  return select(sign(x), x, is_nan(x));
}
`,
  sigmoid: `// exp of a positive number would overflow.
fn sigmoid(x: Float) -> Float {
  let e = exp(-abs(x));
  let positive = Float(1.0) / (Float(1.0) + e);
  return select(select(positive, e * positive, x < Float()), x, is_nan(x));
}
`,
  tanh_of:
    `// Near 0 by the power series: the difference of two numbers near 1 has lost all digits there, in WGSL's tanh too.
fn tanh_of(x: Float) -> Float {
  let square = x * x;
  let tail = Float(-17.0 / 315.0) + square * Float(62.0 / 2835.0);
  let series = x * (Float(1.0) + square * (Float(-1.0 / 3.0) + square * (Float(2.0 / 15.0) + square * tail)));
  let e = exp(-2.0 * abs(x));
  let far = (Float(1.0) - e) / (Float(1.0) + e);
  let result = select(select(far, -far, x < Float()), series, abs(x) < Float(0.3));
  return select(result, x, is_nan(x));
}
`,
  power:
    `// WGSL's pow is exp2(y * log2(x)): undefined for a negative x, which has a power when y is whole, and for what C
// and IEEE 754 list: x^0 and 1^y are 1, also where the other is NaN; (-1)^±infinity is 1; powers of 0 and
// infinity have a sign.
fn power(x: Float, y: Float) -> Float {
  let infinity = Float(from_bits(0x7f800000u));
  let magnitude = abs(x);
  let is_endless = abs(y) == infinity;
  let grows = (magnitude > Float(1.0)) == (y > Float());
  let is_limit = (x == Float()) | (magnitude == infinity) | is_endless;
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
  remainder: `// WGSL's is x - y * trunc(x / y), which is NaN for an infinite y.
fn remainder(x: Float, y: Float) -> Float {
  let infinity = Float(from_bits(0x7f800000u));
  return select(x % apart(y), x, (abs(y) == infinity) & (abs(x) < infinity));
}
`,
  signed_from_float: `// Towards zero, clamped; 2147483520 is the largest f32 below 2^31.
fn signed_from_float(x: Float) -> Signed {
  let clamped = Signed(clamp(x, Float(-2147483648.0), Float(2147483520.0)));
  return select(select(clamped, Signed(2147483647), x >= Float(2147483648.0)), Signed(), is_nan(x));
}
`,
  unsigned_from_float: `// Towards zero, clamped; 4294967040 is the largest f32 below 2^32.
fn unsigned_from_float(x: Float) -> Unsigned {
  let clamped = Unsigned(clamp(x, Float(), Float(4294967040.0)));
  return select(select(clamped, Unsigned(4294967295u), x >= Float(4294967296.0)), Unsigned(), is_nan(x));
}
`,
};
