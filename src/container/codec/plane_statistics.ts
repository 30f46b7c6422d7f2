const SAMPLES = 2048;
const NONE: Uint32Array = new Uint32Array(256);

/** A run of blocks of a plane that are alike, and how often each byte occurs in it. */
export interface PlaneSegment {
  start: number;
  length: number;
  counts: Uint32Array;
}

/**
 * Joins neighbouring blocks for as long as one code for both is smaller than two of their own.
 * `separateBits` is what another segment costs besides its symbols. Takes over the blocks and their counts.
 */
export function joinBlocks(blocks: readonly PlaneSegment[], separateBits: number): PlaneSegment[] {
  const segments: PlaneSegment[] = [];
  let current: PlaneSegment | undefined;
  let currentBits = 0;
  for (const block of blocks) {
    const blockBits = informationBits(block.counts, NONE, block.length);
    if (current !== undefined) {
      const length = current.length + block.length;
      const bits = informationBits(current.counts, block.counts, length);
      if (bits <= currentBits + blockBits + separateBits) {
        addCounts(block.counts, current.counts);
        current.length = length;
        currentBits = bits;
        continue;
      }
    }
    current = block;
    currentBits = blockBits;
    segments.push(block);
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
  return samples === 0 ? 0 : informationBits(counts, NONE, samples) / samples;
}

/** What part of the elements of `byteSize` bytes are zero in all bits, by 2048 of them from all over `raw`. */
export function sampledZeros(raw: Uint8Array, byteSize: number): number {
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

/**
 * The bits that the best order-0 code takes for symbols that occur as often as both tables together say:
 * `total` times in all. Plain loops, because this runs once for each block.
 */
function informationBits(counts: Uint32Array, more: Uint32Array, total: number): number {
  let bits = total * binaryLogarithm(total);
  for (let symbol = 0; symbol < 256; symbol++) {
    const count = (counts[symbol] as number) + (more[symbol] as number);
    if (count > 1) bits -= count * binaryLogarithm(count);
  }
  return bits;
}

function addCounts(counts: Uint32Array, to: Uint32Array): void {
  for (let symbol = 0; symbol < 256; symbol++) {
    to[symbol] = (to[symbol] as number) + (counts[symbol] as number);
  }
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
