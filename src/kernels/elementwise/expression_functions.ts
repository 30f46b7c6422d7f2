import { floatBitsWgsl, type FloatType } from "../float_bits.ts";
import type { WgslFunction } from "./expression.ts";

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
export function expressionFunctionsWgsl(functions: Iterable<WgslFunction>, width: 1 | 4): string {
  const float: FloatType = width === 1 ? "f32" : "vec4<f32>";
  return [floatBitsWgsl(float), ...[...functions].map(({ code }) => code)].join("\n");
}

// WGSL leaves open what casts make of NaN. Here it becomes 0.

/** A float as `i32`. */
export const SIGNED_FROM_FLOAT: WgslFunction = {
  name: "signed_from_float",
  code: `// Towards zero, clamped; 2147483520 is the largest f32 below 2^31.
fn signed_from_float(x: Float) -> Signed {
  let clamped = Signed(clamp(x, Float(-2147483648.0), Float(2147483520.0)));
  return select(select(clamped, Signed(2147483647), x >= Float(2147483648.0)), Signed(), is_nan(x));
}
`,
};

/** A float as `u32`. */
export const UNSIGNED_FROM_FLOAT: WgslFunction = {
  name: "unsigned_from_float",
  code: `// Towards zero, clamped; 4294967040 is the largest f32 below 2^32.
fn unsigned_from_float(x: Float) -> Unsigned {
  let clamped = Unsigned(clamp(x, Float(), Float(4294967040.0)));
  return select(select(clamped, Unsigned(4294967295u), x >= Float(4294967296.0)), Unsigned(), is_nan(x));
}
`,
};
