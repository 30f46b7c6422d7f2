import type { ElementwiseFunction, WgslFunction } from "./expression.ts";

/** Floats of 16 bits, of which two are in a word: IEEE halves, and the upper halves of f32. */
export type SixteenBits = "bf16" | "f16";

/** Both of them. */
export const SIXTEEN_BITS: readonly SixteenBits[] = ["bf16", "f16"];

/** Whether `dtype` is one of them. */
export function isSixteenBits(dtype: string): dtype is SixteenBits {
  return dtype === "bf16" || dtype === "f16";
}

// Rounded by bits, to nearest and halves to even, so that the bits are the same on every adapter: WGSL leaves open how
// pack2x16float rounds, and not all adapters have f16.

const NARROW: Readonly<Record<SixteenBits, WgslFunction>> = {
  bf16: {
    name: "narrow_bf16",
    code: `fn narrow_bf16(x: Float) -> Float {
  let bits = bitcast<Unsigned>(x);
  let even = (bits >> Unsigned(16u)) & Unsigned(1u);
  let rounded = (bits + Unsigned(0x7fffu) + even) & Unsigned(0xffff0000u);
  return bitcast<Float>(select(rounded, (bits & Unsigned(0xffff0000u)) | Unsigned(0x400000u), is_nan(x)));
}
`,
  },
  f16: {
    name: "narrow_f16",
    code:
      `// From 2^-14 on 10 bits are left behind the first one, below that multiples of 2^-24; 65520 and more are infinite.
fn narrow_f16(x: Float) -> Float {
  let bits = bitcast<Unsigned>(x);
  let magnitude = bits & Unsigned(0x7fffffffu);
  let even = (magnitude >> Unsigned(13u)) & Unsigned(1u);
  let rounded = (magnitude + Unsigned(0xfffu) + even) & Unsigned(0xffffe000u);
  let normal = select(rounded, Unsigned(0x7f800000u), rounded >= Unsigned(0x47800000u));
  let small = opaque(opaque(bitcast<Float>(min(magnitude, Unsigned(0x38800000u))) + Float(0.5)) - Float(0.5));
  let finite = select(normal, bitcast<Unsigned>(small), magnitude < Unsigned(0x38800000u));
  let narrow = select(finite, Unsigned(0x7fc00000u), magnitude > Unsigned(0x7f800000u));
  return bitcast<Float>(narrow | (bits & Unsigned(0x80000000u)));
}
`,
  },
};

/** Rounds an f32 to what `dtype` can say. */
export function narrowed(dtype: SixteenBits): ElementwiseFunction {
  return {
    name: "narrow",
    takes: ["f32"],
    wgsl: ([x], call) => x === undefined ? "" : call(NARROW[dtype], x),
  };
}

/** `pack_pair(low, high)`: two floats that were rounded, as a word. */
export function packPairWgsl(dtype: SixteenBits): string {
  if (dtype === "bf16") {
    return `fn pack_pair(low: f32, high: f32) -> u32 {
  return (bitcast<u32>(low) >> 16u) | (bitcast<u32>(high) & 0xffff0000u);
}
`;
  }
  return `fn half_bits(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  let magnitude = bits & 0x7fffffffu;
  let normal = (magnitude - 0x38000000u) >> 13u;
  let small = u32(bitcast<f32>(min(magnitude, 0x38800000u)) * 16777216.0);
  let finite = select(normal, small, magnitude < 0x38800000u);
  let special = select(0x7c00u, 0x7e00u, magnitude > 0x7f800000u);
  return select(finite, special, magnitude >= 0x7f800000u) | ((bits >> 31u) << 15u);
}

fn pack_pair(low: f32, high: f32) -> u32 {
  return half_bits(low) | (half_bits(high) << 16u);
}
`;
}

/** Four floats that are in the two words `words`. */
export function unpackFourWgsl(dtype: SixteenBits, words: string): string {
  return dtype === "bf16"
    ? `bitcast<vec4<f32>>(vec4<u32>(${words}.x << 16u, ${words}.x & 0xffff0000u, ${words}.y << 16u, ${words}.y & 0xffff0000u))`
    : `vec4<f32>(unpack2x16float(${words}.x), unpack2x16float(${words}.y))`;
}
