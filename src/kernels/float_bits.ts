/** The shader type of a kernel that computes one element at a time, or four. */
export type FloatType = "f32" | "vec4<f32>";

/**
 * WGSL functions on the bits of floats: `is_nan(x)` and `from_bits(bits)`.
 *
 * Shader compilers may assume that there is no NaN (Mesa folds `x != x` to false), so NaN is looked for in the bits.
 * WGSL has no literal for NaN and infinity, and rejects constant expressions that give one; a call of a function is no
 * constant expression.
 */
export function floatBitsWgsl(float: FloatType): string {
  const [bits, logical] = float === "f32" ? ["u32", "bool"] : ["vec4<u32>", "vec4<bool>"];
  return `fn is_nan(x: ${float}) -> ${logical} {
  return (bitcast<${bits}>(x) & ${bits}(0x7fffffffu)) > ${bits}(0x7f800000u);
}

fn from_bits(bits: u32) -> f32 {
  return bitcast<f32>(bits);
}
`;
}

/** Bits of a quiet NaN. */
export const NAN_BITS = 0x7fc0_0000;

/** Bits of minus infinity. */
export const MINUS_INFINITY_BITS = 0xff80_0000;

/** The bits of `value` as an f32. */
export function bitsOf(value: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  return view.getUint32(0);
}
