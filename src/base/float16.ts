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
  if (values instanceof Float32Array) {
    // By their bits, which is ten times as fast, and keeps the payload of a NaN, which reading it as a number may lose.
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    if (format === BRAIN) {
      for (let i = 0; i < bits.length; i++) encoded[i] = bitsToBfloat16(bits[i] as number);
    } else for (let i = 0; i < bits.length; i++) encoded[i] = bitsToFloat16(bits[i] as number);
    return encoded;
  }
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0;
    encoded[i] = Number.isNaN(value) ? encodeNaN(0x7fc00000, format) : encodeNumber(value, format);
  }
  return encoded;
}

function bitsToBfloat16(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return encodeNaN(bits, BRAIN);
  // Half a unit less a bit, and that bit where the result would be odd: a tie goes to even. A carry goes into the
  // exponent.
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

function bitsToFloat16(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const size = bits & 0x7fffffff;
  if (size > 0x7f800000) return encodeNaN(bits, HALF);
  // 2^16 and above.
  if (size >= 0x47800000) return sign | infinity(HALF.fractionBits);
  // 2^-14 and above: the exponent is taken down by 112, and 13 bits are rounded away.
  if (size >= 0x38800000) return sign | ((size - 0x38000000 + 0xfff + ((size >>> 13) & 1)) >>> 13);
  const shift = 126 - (size >>> 23);
  if (shift > 24) return sign;
  const fraction = (size & 0x7fffff) | 0x800000;
  const units = fraction >>> shift;
  const rest = fraction - (units << shift);
  const half = 1 << (shift - 1);
  return sign | (units + (rest > half || (rest === half && (units & 1) === 1) ? 1 : 0));
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
