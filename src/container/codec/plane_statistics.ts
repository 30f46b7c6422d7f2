const SAMPLES = 2048;
const NONE: Uint32Array = new Uint32Array(256);

// Each integer below this times its logarithm, made when first needed: most counts are that small.
const PRODUCTS = 1 << 14;
let products: Float64Array | undefined;

/** A part of a plane, and how often each byte occurs in it, or in a sample of it. */
export interface PlaneBlock {
  readonly start: number;
  readonly length: number;
  readonly counts: Uint32Array;
}

/** A run of blocks that are alike, and the first and the last byte that occur in it. */
export interface PlaneSegment extends PlaneBlock {
  length: number;
  first: number;
  last: number;
}

/**
 * Joins neighbouring blocks for as long as one code for both is smaller than two of their own.
 * `separateBits` is what another segment costs besides its symbols. A block's counts may change when the next
 * one is asked for.
 */
export function joinBlocks(blocks: Iterable<PlaneBlock>, separateBits: number): PlaneSegment[] {
  const segments: PlaneSegment[] = [];
  let current: PlaneSegment | undefined;
  let currentBits = 0;
  for (const { start, length, counts } of blocks) {
    const { first, last } = rangeOf(counts);
    const blockBits = informationBits(counts, NONE, first, last);
    if (current !== undefined) {
      const [least, most] = [Math.min(first, current.first), Math.max(last, current.last)];
      const bits = informationBits(counts, current.counts, least, most);
      if (bits <= currentBits + blockBits + separateBits) {
        for (let symbol = first; symbol <= last; symbol++) {
          current.counts[symbol] = (current.counts[symbol] as number) + (counts[symbol] as number);
        }
        current.length += length;
        current.first = least;
        current.last = most;
        currentBits = bits;
        continue;
      }
    }
    current = { start, length, counts: counts.slice(), first, last };
    currentBits = blockBits;
    segments.push(current);
  }
  return segments;
}

/** Bits a byte of `plane` as an order-0 code sees them, by 2048 bytes from all over it. */
export function sampledBits(plane: Uint8Array): number {
  const counts = new Uint32Array(256);
  // Odd, so that data in rows of a power of two are not met at the same column each time.
  const stride = Math.floor(plane.length / SAMPLES) | 1;
  let samples = 0;
  for (let i = 0; i < plane.length; i += stride, samples++) {
    const byte = plane[i] as number;
    counts[byte] = (counts[byte] as number) + 1;
  }
  return samples === 0 ? 0 : informationBits(counts, NONE, 0, 255) / samples;
}

/** What part of the elements of `byteSize` bytes are zero in all bits, by 2048 of them from all over `raw`. */
export function sampledZeros(raw: Uint8Array, byteSize: number): number {
  if (byteSize === 4 && raw.byteOffset % 4 === 0) return sampledZeroWords(raw);
  const stride = byteSize * (Math.floor(raw.length / byteSize / SAMPLES) | 1);
  let samples = 0;
  let zeros = 0;
  for (let at = 0; at < raw.length; at += stride, samples++) {
    let bits = 0;
    for (let byte = at; byte < at + byteSize; byte++) bits |= raw[byte] as number;
    if (bits === 0) zeros++;
  }
  return samples === 0 ? 0 : zeros / samples;
}

function sampledZeroWords({ buffer, byteOffset, byteLength }: Uint8Array): number {
  const words = new Uint32Array(buffer, byteOffset, byteLength / 4);
  const stride = Math.floor(words.length / SAMPLES) | 1;
  let zeros = 0;
  for (let at = 0; at < words.length; at += stride) if (words[at] === 0) zeros++;
  return zeros / Math.ceil(words.length / stride);
}

/**
 * The bits that the best order-0 code takes for symbols from `first` to `last` that occur as often as both tables
 * together say. Plain loops, because this runs twice for each block.
 */
function informationBits(counts: Uint32Array, more: Uint32Array, first: number, last: number): number {
  products ??= Float64Array.from({ length: PRODUCTS }, (_, i) => i === 0 ? 0 : i * binaryLogarithm(i));
  let total = 0;
  let bits = 0;
  for (let symbol = first; symbol <= last; symbol++) {
    const count = (counts[symbol] as number) + (more[symbol] as number);
    total += count;
    bits -= count < PRODUCTS ? products[count] as number : count * binaryLogarithm(count);
  }
  return bits + total * binaryLogarithm(total);
}

function rangeOf(counts: Uint32Array): { first: number; last: number } {
  let first = 0;
  let last = 255;
  while (first < last && counts[first] === 0) first++;
  while (first < last && counts[last] === 0) last--;
  return { first, last };
}

/**
 * log2 of a positive integer below 2^31, to about 0.0002. `Math.log2` may differ between engines in its last
 * bit, and what is stored must not; the four operations do not.
 */
function binaryLogarithm(value: number): number {
  const exponent = 31 - Math.clz32(value);
  const m = value / (1 << exponent);
  // (m - 1) / (m + 1), and the first terms of the series of the area hyperbolic tangent.
  const y = (m - 1) / (m + 1);
  const square = y * y;
  return exponent + 2.8853900817779268 * y * (1 + square * (1 / 3 + square * (1 / 5 + square / 7)));
}
