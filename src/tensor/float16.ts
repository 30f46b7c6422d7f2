/** A 16-bit float: 1 sign bit, exponent bits, `fractionBits` bits below the leading one. */
interface Float16Format {
  readonly fractionBits: number;
  /** Exponent of the smallest normal number; what is below has fewer bits (subnormal). */
  readonly minExponent: number;
  readonly maxExponent: number;
}

const HALF: Float16Format = { fractionBits: 10, minExponent: -14, maxExponent: 15 };
const BRAIN: Float16Format = { fractionBits: 7, minExponent: -126, maxExponent: 127 };

/** Adding and taking away 2^52 rounds a double below it to an integer, half to even, as IEEE 754 wants. */
const ROUNDER = 2 ** 52;

/**
 * Numbers to IEEE half floats, rounded once, to nearest even; what is too large becomes infinite.
 * A NaN of a `Float32Array` keeps its sign and the upper 10 bits of its payload.
 */
export function encodeFloat16(values: ArrayLike<number>): Uint16Array<ArrayBuffer> {
  return encode(values, HALF);
}

/**
 * Numbers to bfloat16 (the upper half of a float), rounded once, to nearest even.
 * A NaN of a `Float32Array` keeps its sign and the upper 7 bits of its payload.
 */
export function encodeBfloat16(values: ArrayLike<number>): Uint16Array<ArrayBuffer> {
  return encode(values, BRAIN);
}

/** Half floats to floats: exact, and NaN keeps its payload. */
export function decodeFloat16(encoded: Uint16Array): Float32Array<ArrayBuffer> {
  const decoded = new Float32Array(encoded.length);
  const bits = new Uint32Array(decoded.buffer);
  for (let i = 0; i < encoded.length; i++) {
    const half = encoded[i] ?? 0;
    const sign = (half & 0x8000) << 16;
    const exponent = (half >> 10) & 0x1f;
    const fraction = half & 0x3ff;
    if (exponent === 0) decoded[i] = (sign === 0 ? 1 : -1) * fraction * 2 ** -24;
    else bits[i] = sign | ((exponent === 0x1f ? 0xff : exponent + 112) << 23) | (fraction << 13);
  }
  return decoded;
}

/** bfloat16 to floats: exact, and NaN keeps its payload. */
export function decodeBfloat16(encoded: Uint16Array): Float32Array<ArrayBuffer> {
  const decoded = new Float32Array(encoded.length);
  const bits = new Uint32Array(decoded.buffer);
  for (let i = 0; i < encoded.length; i++) bits[i] = (encoded[i] ?? 0) << 16;
  return decoded;
}

function encode(values: ArrayLike<number>, format: Float16Format): Uint16Array<ArrayBuffer> {
  const encoded = new Uint16Array(values.length);
  // A NaN's payload is lost when the element is read as a number, so its bits are read beside it.
  const bits = values instanceof Float32Array
    ? new Uint32Array(values.buffer, values.byteOffset, values.length)
    : undefined;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0;
    encoded[i] = Number.isNaN(value)
      ? encodeNaN(bits?.[i] ?? 0x7fc00000, format)
      : encodeNumber(value, format);
  }
  return encoded;
}

function encodeNaN(bits: number, { fractionBits }: Float16Format): number {
  const fraction = (bits & 0x7fffff) >>> (23 - fractionBits);
  // Without a payload it would read as infinity, so the quiet bit stands in for what was cut off.
  return ((bits >>> 16) & 0x8000) | infinity(fractionBits) |
    (fraction === 0 ? 1 << (fractionBits - 1) : fraction);
}

function encodeNumber(value: number, { fractionBits, minExponent, maxExponent }: Float16Format): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size >= 2 ** (maxExponent + 1)) return sign | infinity(fractionBits);
  const exponent = Math.max(exponentOf(size), minExponent);
  const units = (size * 2 ** (fractionBits - exponent) + ROUNDER) - ROUNDER;
  // The leading one of `units` carries into the exponent field, also when rounding up made it one bit longer.
  return sign | ((exponent - minExponent) * 2 ** fractionBits + units);
}

/** Exponent field all ones, fraction zero. */
function infinity(fractionBits: number): number {
  return 0x7fff & ~((1 << fractionBits) - 1);
}

const scratch = new DataView(new ArrayBuffer(8));

/** `floor(log2(size))`, exact; very small for 0 and subnormal doubles. */
function exponentOf(size: number): number {
  scratch.setFloat64(0, size);
  return (scratch.getUint16(0) >>> 4) - 1023;
}
