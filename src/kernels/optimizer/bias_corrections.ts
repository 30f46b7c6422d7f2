/** Fraction bits of a power in the shader: two words. */
const FRACTION_BITS = 64n;
/** Of the powers while they are squared here, so that rounding them once more is all the error that is left. */
const EXACT_BITS = 256n;
/** Powers `decay^(2^k)` for every bit of a u32. */
const POWERS = 32;

/**
 * WGSL function `bias_corrections(updates: u32) -> vec4<f32>`: `1 - decay^updates` for each of up to four decays, 1 for
 * missing decays.
 *
 * Optimisers divide by it, and the host cannot know the number of updates without waiting for the GPU, since a step
 * that is not finite does not count. Shaders have no f64, and in f32 `1 - 0.999` keeps four digits, so the powers are
 * products of 64-bit fractions in integers: equal bits on every adapter, and the f32 that is nearest to `1 -
 * decay^updates` as f64 has it.
 *
 * @throws RangeError for more than four decays, or one that is not from 0 to below 1.
 */
export function biasCorrectionsWgsl(decays: readonly number[]): string {
  if (decays.length > 4) throw new RangeError(`At most 4 decays are possible, not ${decays.length}`);
  if (decays.length === 0) {
    return "fn bias_corrections(updates: u32) -> vec4<f32> {\n  return vec4<f32>(1.0);\n}\n";
  }
  const words = decays.flatMap(powersOf).map(([high, low]) => `vec2<u32>(${high}u, ${low}u)`);
  return `${FRACTIONS_WGSL}
fn bias_corrections(updates: u32) -> vec4<f32> {
  var powers = array<vec2<u32>, ${words.length}>(${words.join(", ")});
  var corrections = vec4<f32>(1.0);
  // Bounds that are no constants, so that no compiler unrolls the loops, which takes seconds.
  for (var decay = 0u; decay < select(0u, ${decays.length}u, updates != 0u); decay++) {
    var product = vec2<u32>();
    var is_empty = true;
    var place = ${POWERS}u * decay;
    for (var bits = updates; bits != 0u; bits >>= 1u) {
      if ((bits & 1u) != 0u) {
        product = select(fraction_product(product, powers[place]), powers[place], is_empty);
        is_empty = false;
      }
      place += 1u;
    }
    corrections[decay] = one_minus(product);
  }
  return corrections;
}
`;
}

/** `decay^(2^k)` for each k, as fractions of two words, the high one first. */
export function powersOf(decay: number): [high: number, low: number][] {
  if (!(decay >= 0 && decay < 1)) throw new RangeError(`A decay is from 0 to below 1, not ${decay}`);
  let power = exactFraction(decay);
  return Array.from({ length: POWERS }, () => {
    const drop = EXACT_BITS - FRACTION_BITS;
    const rounded = (power + (1n << (drop - 1n))) >> drop;
    power = (power * power) >> EXACT_BITS;
    return [Number(rounded >> 32n), Number(rounded & 0xffff_ffffn)];
  });
}

/** A number of [0, 1) as a whole number of `2^-EXACT_BITS`. Its bits below that are dropped. */
function exactFraction(value: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const exponent = bits >> 52n;
  const mantissa = exponent === 0n ? bits : (bits & ((1n << 52n) - 1n)) | (1n << 52n);
  const shift = EXACT_BITS - 1075n + (exponent === 0n ? 1n : exponent);
  return shift >= 0n ? mantissa << shift : mantissa >> -shift;
}

/** A fraction is `x / 2^32 + y / 2^64`; zero stands for what is smaller. */
const FRACTIONS_WGSL = `
/** The 64 bits of a product, the high word first. */
fn wide_product(a: u32, b: u32) -> vec2<u32> {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let left = (a >> 16u) * (b & 0xffffu);
  let right = (a & 0xffffu) * (b >> 16u);
  let middle = (low >> 16u) + (left & 0xffffu) + (right & 0xffffu);
  return vec2<u32>(
    (a >> 16u) * (b >> 16u) + (left >> 16u) + (right >> 16u) + (middle >> 16u),
    (low & 0xffffu) | (middle << 16u),
  );
}

/** The upper 64 of the 128 bits of a product of fractions. */
fn fraction_product(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
  let high = wide_product(a.x, b.x);
  let left = wide_product(a.x, b.y);
  let right = wide_product(a.y, b.x);
  let below = wide_product(a.y, b.y);
  let lowest = left.y + right.y;
  let with_below = lowest + below.x;
  let carried = select(0u, 1u, lowest < left.y) + select(0u, 1u, with_below < lowest);
  let low = high.y + left.x;
  let with_right = low + right.x;
  let with_carried = with_right + carried;
  let carry = select(0u, 1u, low < high.y) + select(0u, 1u, with_right < low) +
    select(0u, 1u, with_carried < with_right);
  return vec2<u32>(high.x + carry, with_carried);
}

/** The f32 nearest to 1 minus a fraction, ties to even. */
fn one_minus(fraction: vec2<u32>) -> f32 {
  if (all(fraction == vec2<u32>())) {
    return 1.0;
  }
  let low = 0u - fraction.y;
  let high = 0u - fraction.x - select(0u, 1u, fraction.y != 0u);
  let zeros = select(countLeadingZeros(high), 32u + countLeadingZeros(low), high == 0u);
  let by = zeros % 32u;
  // Shifting by 32 is shifting by 0.
  let from_below = select(0u, (low >> 1u) >> (31u - by), zeros < 32u);
  let top = select(low << by, (high << by) | from_below, zeros < 32u);
  let rest = select(0u, low << by, zeros < 32u);
  let mantissa = top >> 8u;
  let dropped = top & 0xffu;
  let is_above = dropped > 0x80u || (dropped == 0x80u && (rest != 0u || (mantissa & 1u) == 1u));
  return bitcast<f32>(((126u - zeros) << 23u) + (mantissa & 0x7fffffu) + select(0u, 1u, is_above));
}
`;
