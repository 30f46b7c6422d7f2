import { byteSizeOf, type DType } from "../../src/base/dtype.ts";

/** Bytes in a chunk, as in a file. */
export const CHUNK_BYTES: number = 1 << 20;

/** Chunks of one kind of bytes. */
export interface Sample {
  readonly name: string;
  readonly dtype: DType;
  readonly chunks: readonly Uint8Array[];
}

let seed = 7;
/** Numbers from 0 to 1, the same in each run. */
export const random = (): number => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;
const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

/** Normal weights in rows of 512, each row with a scale of its own. */
export function gaussianRows(count: number): Float32Array {
  const weights = new Float32Array(count);
  let scale = 1;
  for (let i = 0; i < count; i++) {
    if (i % 512 === 0) scale = 0.02 * Math.exp(random() - 0.5);
    weights[i] = scale * normal();
  }
  return weights;
}

/** bf16 by rounding to nearest even; the weights hold no NaN. */
export function toBfloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, (word) => (word + 0x7fff + ((word >>> 16) & 1)) >>> 16);
}

/** f16 by truncation. */
export function toFloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, (word) => {
    const exponent = ((word >>> 23) & 255) - 112;
    // Small ones become zero here: this is data for a bench, not a cast.
    return exponent <= 0
      ? (word >>> 16) & 0x8000
      : ((word >>> 16) & 0x8000) | (exponent << 10) | ((word >>> 13) & 0x3ff);
  });
}

export function sampleOf(name: string, dtype: DType, values: ArrayBufferView): Sample {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) chunks.push(bytes.slice(at, at + CHUNK_BYTES));
  return { name, dtype, chunks };
}

/** Bytes of the planes that an order-0 code of the exponents' planes cannot go below, the others whole. */
export function entropyBound({ chunks, dtype }: Sample): { exponents: number; all: number } {
  let exponents = 0;
  let all = 0;
  for (const chunk of chunks) {
    const plane = exponentsOf(chunk, dtype);
    const counts = new Float64Array(256);
    for (const byte of plane) counts[byte] = (counts[byte] as number) + 1;
    let bits = 0;
    for (const n of counts) if (n > 0) bits -= n * Math.log2(n / plane.length);
    exponents += bits / 8;
    all += bits / 8 + chunk.byteLength - plane.byteLength;
  }
  return { exponents, all };
}

/** The highest byte of each element after the sign was rotated away. */
export function exponentsOf(chunk: Uint8Array, dtype: DType): Uint8Array {
  const size = byteSizeOf(dtype);
  const plane = new Uint8Array(chunk.byteLength / size);
  for (let i = 0; i < plane.length; i++) {
    const high = chunk[i * size + size - 1] as number;
    plane[i] = (high << 1) | ((chunk[i * size + size - 2] as number) >>> 7);
  }
  return plane;
}
