import { byteSizeOf, type DType } from "../../src/base/dtype.ts";
import { itemBitsOf } from "../../src/base/item_bits.ts";
import { levelsBytes } from "../../src/container/codec/levels/levels.ts";
import { encodeLevelsSpan, type LevelsCounts, levelsCounts } from "../../src/gpu_codec/levels_span.ts";
import { asBytes, bytesOf, weightsOf } from "../container/samples.ts";

/** A span of chunks, and what the codec on the CPU makes of it. */
export interface LevelsSample {
  readonly name: string;
  readonly dtype: DType;
  readonly raw: Uint8Array;
  readonly chunkBytes: number;
  readonly counts: LevelsCounts;
  readonly span: Uint32Array;
  /** Each chunk as it is stored. */
  readonly stored: readonly Uint32Array[];
}

const FLOATS = ["f32", "f16", "bf16"] as const;

/** Half floats of any bits but small exponents, as casts of weights have them. */
function weightBytes(dtype: DType, count: number): Uint8Array {
  const weights = weightsOf(count, 3);
  const words = new Uint32Array(weights.buffer);
  if (dtype === "f32") return asBytes(weights);
  if (dtype === "bf16") return asBytes(Uint16Array.from(words, (word) => word >>> 16));
  return asBytes(Uint16Array.from(words, (word) => {
    const exponent = Math.max(0, ((word >>> 23) & 255) - 112);
    return ((word >>> 16) & 0x8000) | (exponent << 10) | ((word >>> 13) & 1023);
  }));
}

/** `share` of the elements, scattered, become zero. */
function withZeros(raw: Uint8Array, dtype: DType, share: number): Uint8Array {
  const size = byteSizeOf(dtype);
  const result = raw.slice();
  for (let i = 0; i * size < raw.byteLength; i++) {
    if ((Math.imul(i, 2_654_435_761) >>> 0) / 2 ** 32 < share) result.fill(0, i * size, (i + 1) * size);
  }
  return result;
}

/** NaNs with payloads, infinities, both zeros and subnormals, over and over. */
const ODD_BITS = {
  f32: Uint32Array.of(
    0x7fc00000,
    0x7f800001,
    0xffc12345,
    0xffffffff,
    0x80000000,
    0,
    0x7f800000,
    1,
    0x807fffff,
  ),
  f16: Uint16Array.of(0x7e00, 0x7c01, 0xfe55, 0xffff, 0x8000, 0, 0x7c00, 1, 0x83ff),
  bf16: Uint16Array.of(0x7fc0, 0x7f81, 0xffd5, 0xffff, 0x8000, 0, 0x7f80, 1, 0x807f),
};

function oddBytes(dtype: keyof typeof ODD_BITS, count: number): Uint8Array {
  const bits = ODD_BITS[dtype];
  return asBytes(
    new (dtype === "f32" ? Uint32Array : Uint16Array)(
      Array.from({ length: count }, (_, i) => bits[i % bits.length] as number),
    ),
  );
}

/** Adam's second moments: never negative, and of all sizes. */
function moments(count: number): Float32Array {
  const [a, b] = [weightsOf(count, 5), weightsOf(count, 6)];
  return a.map((x, i) => Math.exp(80 * (b[i] as number)) * x * x);
}

function sample(name: string, dtype: DType, raw: Uint8Array, chunkBytes: number): LevelsSample {
  const items = itemBitsOf(dtype);
  const span = { byteLength: raw.byteLength, chunkBytes };
  const stored: Uint32Array[] = [];
  for (let at = 0; at < raw.byteLength; at += chunkBytes) {
    const bytes = levelsBytes(raw.subarray(at, at + chunkBytes), dtype).slice();
    stored.push(new Uint32Array(bytes.buffer));
  }
  return {
    name: `${name}, ${dtype}`,
    dtype,
    raw,
    chunkBytes,
    counts: levelsCounts(span, items),
    span: encodeLevelsSpan(span, items),
    stored,
  };
}

/** Runs whose ends fall nowhere in particular, of everything that is special about a group. */
export function levelsSamples(): LevelsSample[] {
  const samples: LevelsSample[] = [];
  for (const dtype of FLOATS) {
    const size = byteSizeOf(dtype);
    const weights = weightBytes(dtype, 5000);
    const noise = bytesOf(3001 * size, 4);
    samples.push(
      sample("weights in two chunks", dtype, weights, 3000 * size),
      sample("one element", dtype, weights.subarray(0, size), 4096),
      sample("a group and one element", dtype, weights.subarray(0, 1025 * size), 8192),
      sample("a few zeros", dtype, withZeros(weights, dtype, 0.02), 8192),
      sample("many zeros", dtype, withZeros(weights, dtype, 0.4), 8192),
      sample("hardly anything", dtype, withZeros(weights, dtype, 0.999), 8192),
      sample("odd bits", dtype, oddBytes(dtype, 2047), 4096),
      sample("random bits", dtype, noise, 4096),
      sample("zeros", dtype, new Uint8Array(2049 * size), 4096),
      sample("one value", dtype, new Uint8Array(2050 * size).fill(0x3c), 4096),
    );
  }
  const rounded = asBytes(
    Uint32Array.from(new Uint32Array(weightsOf(2000, 8).buffer), (word) => word & 0xffff0000),
  );
  samples.push(
    sample("moments", "f32", asBytes(moments(4000)), 8192),
    sample("bf16 in f32", "f32", rounded, 4096),
    sample("ids", "i32", asBytes(Int32Array.from({ length: 3000 }, (_, i) => (i * i) % 30_011)), 4096),
    sample("small", "i16", asBytes(Int16Array.from({ length: 3000 }, (_, i) => i % 200)), 4096),
    sample("doubles", "f64", asBytes(Float64Array.from(weightsOf(2500, 9))), 16_384),
    sample("counters", "i64", asBytes(BigInt64Array.from({ length: 1500 }, (_, i) => BigInt(i))), 8192),
    sample("a mask", "bool", Uint8Array.from({ length: 6000 }, (_, i) => Number(i % 7 === 0)), 4096),
  );
  return samples;
}

/** The heads of all groups, the offsets of their bodies, and the lengths of the chunks. */
export function partsOf({ stored, counts, raw, chunkBytes }: LevelsSample): {
  heads: Uint32Array;
  offsets: Uint32Array;
  lengths: Uint32Array;
} {
  const [heads, offsets]: [number[], number[]] = [[], []];
  for (const [chunk, words] of stored.entries()) {
    const isLast = (chunk + 1) * chunkBytes >= raw.byteLength;
    const groups = isLast ? counts.groups - chunk * counts.chunkGroups : counts.chunkGroups;
    let offset = 1 + groups;
    for (const head of words.subarray(1, 1 + groups)) {
      heads.push(head);
      offsets.push(offset);
      offset += head & 2047;
    }
  }
  return {
    heads: Uint32Array.from(heads),
    offsets: Uint32Array.from(offsets),
    lengths: Uint32Array.from(stored, (words) => words.length),
  };
}

/** All stored chunks, each at an offset of its own with a gap between them. */
export function spacedOut(
  stored: readonly Uint32Array[],
): { words: Uint32Array; targets: Uint32Array; starts: Uint32Array } {
  const targets: number[] = [];
  let end = 3;
  for (const words of stored) {
    targets.push(end);
    end += words.length + 5;
  }
  const words = new Uint32Array(end);
  for (const [chunk, target] of targets.entries()) words.set(stored[chunk] as Uint32Array, target);
  return {
    words,
    targets: Uint32Array.from(targets),
    starts: Uint32Array.from(targets, (target) => target + 1),
  };
}

/** The raw bytes as words, filled up with zeros. */
export function wordsOf(raw: Uint8Array): Uint32Array {
  const words = new Uint32Array(Math.ceil(raw.byteLength / 4));
  asBytes(words).set(raw);
  return words;
}
