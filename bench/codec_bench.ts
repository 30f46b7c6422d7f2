/**
 * How small and how fast are the codecs? `npm run bench -- codec`, or `bun bench/codec_bench.ts`.
 *
 * On chunks of 1 MiB, as in a file, on one core: every contender runs once a round on the same bytes, and what
 * it gives is compared bit for bit. Rates are of raw bytes. The last line is JSON. Option: `--rounds=9`.
 */
import { Buffer } from "node:buffer";
import process from "node:process";
import zlib from "node:zlib";
import { zlibSync } from "fflate";
import { byteSizeOf, type DType } from "../src/base/dtype.ts";
import { splitPlanes } from "../src/container/codec/byte_planes.ts";
import type { Codec } from "../src/container/codec/codec.ts";
import { CodecPool } from "../src/container/codec/codec_pool.ts";
import { withKernels } from "../src/container/codec/plane_kernels.ts";
import { portableKernels } from "../src/container/codec/portable_kernels.ts";
import { codecByName, type CodecName } from "../src/container/codec/table.ts";
import { type Contender, interleaved, median, ratioOf, type Times } from "./interleaved.ts";
import { trainedState } from "./trained_state.ts";

const CHUNK_BYTES = 1 << 20;
const rounds = Number(process.argv.find((text) => text.startsWith("--rounds="))?.slice(9) ?? 9);

/** Bytes of one kind, and the plane of their exponents where they have some. */
interface Sample {
  readonly name: string;
  readonly dtype: DType;
  readonly chunks: readonly Uint8Array[];
}

interface Target {
  readonly name: string;
  readonly measured: number;
  readonly target: string;
  readonly spread: number;
  readonly holds: boolean;
}

/** A codec from elsewhere, in the form of ours. */
type Baseline = Pick<Codec, "name"> & {
  encode(raw: Uint8Array, dtype: DType): Uint8Array;
  decode(stored: Uint8Array, rawLength: number, dtype: DType): Uint8Array;
};

const targets: Target[] = [];

function target(name: string, measured: number, limit: string, spread = 0): void {
  const bound = Number(limit.slice(3));
  const holds = limit.startsWith("<=") ? measured <= bound : measured >= bound;
  targets.push({ name, measured: round(measured), target: limit, spread: round(spread), holds });
  console.log(`${holds ? "holds " : "MISSES"} ${name}: ${round(measured)} (${limit})`);
}

const round = (value: number): number => Number(value.toPrecision(4));

// Data ---------------------------------------------------------------------------------------------------

let seed = 7;
const random = (): number => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;
const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

/** Normal weights in rows of 512, each row with a scale of its own. */
function gaussianRows(count: number): Float32Array {
  const weights = new Float32Array(count);
  let scale = 1;
  for (let i = 0; i < count; i++) {
    if (i % 512 === 0) scale = 0.02 * Math.exp(random() - 0.5);
    weights[i] = scale * normal();
  }
  return weights;
}

/** Round to nearest even; the weights hold no NaN. */
function toBfloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, (word) => (word + 0x7fff + ((word >>> 16) & 1)) >>> 16);
}

function toFloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, (word) => {
    const exponent = ((word >>> 23) & 255) - 112;
    // Small ones become zero here: this is data for a bench, not a cast.
    return exponent <= 0
      ? (word >>> 16) & 0x8000
      : ((word >>> 16) & 0x8000) | (exponent << 10) | ((word >>> 13) & 0x3ff);
  });
}

function sampleOf(name: string, dtype: DType, values: ArrayBufferView): Sample {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) chunks.push(bytes.slice(at, at + CHUNK_BYTES));
  return { name, dtype, chunks };
}

/** Bytes of the planes that an order-0 code of the exponents' planes cannot go below, the others whole. */
function entropyBound({ chunks, dtype }: Sample): { exponents: number; all: number } {
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
function exponentsOf(chunk: Uint8Array, dtype: DType): Uint8Array {
  const size = byteSizeOf(dtype);
  const plane = new Uint8Array(chunk.byteLength / size);
  for (let i = 0; i < plane.length; i++) {
    const high = chunk[i * size + size - 1] as number;
    plane[i] = (high << 1) | ((chunk[i * size + size - 2] as number) >>> 7);
  }
  return plane;
}

// Contenders ---------------------------------------------------------------------------------------------

const { constants } = zlib;
const huffmanOnly: Baseline = {
  name: "huffman-only",
  encode: (raw) => zlib.deflateSync(raw, { level: 1, strategy: constants.Z_HUFFMAN_ONLY }),
  decode: (stored, length) => zlib.inflateSync(stored, { chunkSize: length }),
};
const deflate6: Baseline = {
  name: "deflate 6",
  encode: (raw) => zlib.deflateSync(raw, { level: 6 }),
  decode: (stored, length) => zlib.inflateSync(stored, { chunkSize: length }),
};
const fflate6: Baseline = {
  name: "fflate 6",
  encode: (raw) => zlibSync(raw, { level: 6 }),
  decode: (stored, length) => zlib.inflateSync(stored, { chunkSize: length }),
};

/** zstd on the raw bytes, or on all byte planes one after the other (the `shuffle` of HDF5 and Blosc). */
function zstd(level: number, isShuffled: boolean): Baseline {
  const params = { [constants.ZSTD_c_compressionLevel]: level };
  const shuffled = new Uint8Array(CHUNK_BYTES);
  return {
    name: `zstd ${level}${isShuffled ? " shuffled" : ""}`,
    encode(raw, dtype) {
      if (!isShuffled) return zlib.zstdCompressSync(raw, { params });
      const planes = shuffled.subarray(0, raw.byteLength);
      splitPlanes(raw, byteSizeOf(dtype), planes);
      return zlib.zstdCompressSync(planes, { params });
    },
    decode(stored, length, dtype) {
      const planes = zlib.zstdDecompressSync(stored, { maxOutputLength: length });
      return isShuffled ? unshuffled(planes, byteSizeOf(dtype)) : planes;
    },
  };
}

/** In whole words: what a good JavaScript unshuffle does. */
function unshuffled(planes: Uint8Array, size: number): Uint8Array {
  const count = planes.byteLength / size;
  if (size === 1) return planes;
  if (size === 2) {
    const halves = new Uint16Array(count);
    for (let i = 0; i < count; i++) halves[i] = (planes[i] as number) | ((planes[count + i] as number) << 8);
    return new Uint8Array(halves.buffer);
  }
  const words = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    words[i] = (planes[i] as number) | ((planes[count + i] as number) << 8) |
      ((planes[2 * count + i] as number) << 16) | ((planes[3 * count + i] as number) << 24);
  }
  return new Uint8Array(words.buffer);
}

/** One of our codecs; a chunk that it does not take is stored raw. */
function ours(name: CodecName): Baseline {
  const codec = codecByName(name);
  return {
    name,
    encode: (raw, dtype) => codec.encode(raw, dtype) ?? raw,
    decode: (stored, length, dtype) =>
      stored.byteLength === length ? stored : codec.decode(stored, length, dtype),
  };
}

/** `planes` as it runs where there is no WebAssembly. */
function planesInTypeScript(): Baseline {
  const codec = ours("planes");
  const kernels = portableKernels();
  return {
    name: "planes, no WASM",
    encode: (raw, dtype) => withKernels(kernels, () => codec.encode(raw, dtype)),
    decode: (stored, length, dtype) => withKernels(kernels, () => codec.decode(stored, length, dtype)),
  };
}

interface Measured {
  readonly storedBytes: number;
  readonly encode: Times;
  readonly decode: Times;
}

/** Encodes and decodes all chunks of a sample with every codec, interleaved. */
async function measure(sample: Sample, codecs: readonly Baseline[]): Promise<Map<string, Measured>> {
  const { chunks, dtype } = sample;
  const stored = new Map(
    codecs.map((codec) => [codec, chunks.map((raw) => codec.encode(raw, dtype).slice())]),
  );
  const sameAsStored = (codec: Baseline) => (result: readonly Uint8Array[]): void => {
    const lengths = stored.get(codec)?.map(({ byteLength }) => byteLength);
    if (String(result.map(({ byteLength }) => byteLength)) !== String(lengths)) {
      throw new Error(`${codec.name} did not encode ${sample.name} to as many bytes as before`);
    }
  };
  const sameAsRaw = (codec: Baseline) => (result: readonly Uint8Array[]): void => {
    if (result.some((raw, i) => Buffer.compare(raw, chunks[i] as Uint8Array) !== 0)) {
      throw new Error(`${codec.name} changed ${sample.name}`);
    }
  };
  const contenders = codecs.flatMap((codec): Contender<Uint8Array[]>[] => [{
    name: `encode ${codec.name}`,
    run: () => chunks.map((raw) => codec.encode(raw, dtype)),
    check: sameAsStored(codec),
  }, {
    name: `decode ${codec.name}`,
    run: () =>
      (stored.get(codec) ?? []).map((bytes, i) =>
        codec.decode(bytes, (chunks[i] as Uint8Array).byteLength, dtype)
      ),
    check: sameAsRaw(codec),
  }]);
  const times = await interleaved(contenders, rounds);
  const rawBytes = chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);
  console.log(`\n${sample.name}, ${dtype}, ${(rawBytes / 2 ** 20).toFixed(1)} MiB`);
  return new Map(codecs.map((codec) => {
    const [encode = [], decode = []] = [times.get(`encode ${codec.name}`), times.get(`decode ${codec.name}`)];
    const storedBytes = (stored.get(codec) ?? []).reduce((sum, { byteLength }) => sum + byteLength, 0);
    const rate = (ms: Times): string => `${(rawBytes / median(ms) / 1e6).toFixed(2)} GB/s`.padStart(11);
    console.log(
      `  ${codec.name.padEnd(16)} ${(rawBytes / storedBytes).toFixed(3)}x  encode ${rate(encode)}  decode ${
        rate(decode)
      }`,
    );
    return [codec.name, { storedBytes, encode, decode }];
  }));
}

// Rows of the table ----------------------------------------------------------------------------------------

const weights = gaussianRows(1 << 21);
const gaussian = sampleOf("gaussian rows", "f32", weights);
const bfloat = sampleOf("gaussian rows", "bf16", toBfloat16(weights));
const half = sampleOf("gaussian rows", "f16", toFloat16(weights));
const state = trainedState();
console.log(`a network trained to a loss of ${state.loss.toFixed(3)}`);
const trained = [
  sampleOf("trained weights", "f32", state.weights),
  sampleOf("first moments", "f32", state.firstMoments),
  sampleOf("second moments", "f32", state.secondMoments),
];
const trainedAll: Sample = {
  name: "trained state",
  dtype: "f32",
  chunks: trained.flatMap(({ chunks }) => chunks),
};
const others = [
  sampleOf("token ids", "i32", Int32Array.from({ length: 1 << 20 }, () => 32_000 * random() ** 3)),
  sampleOf("sparse mask", "bool", Uint8Array.from({ length: 1 << 21 }, () => random() < 0.02 ? 1 : 0)),
];
const baselines = [huffmanOnly, deflate6, zstd(1, false), zstd(1, true), zstd(3, false), zstd(3, true)];

for (const sample of [gaussian, bfloat, half]) {
  const result = await measure(sample, [ours("planes"), ours("deflate"), ...baselines.slice(2)]);
  const planes = result.get("planes") as Measured;
  const bound = entropyBound(sample);
  const rest = bound.all - bound.exponents;
  target(
    `size over bound, exponents, ${sample.dtype}`,
    (planes.storedBytes - rest) / bound.exponents,
    "<= 1.015",
  );
  target(`size over bound, whole, ${sample.dtype}`, planes.storedBytes / bound.all, "<= 1.015");
  compareWith(
    `zstd-1 shuffled, ${sample.dtype}`,
    planes,
    result.get("zstd 1 shuffled") as Measured,
    1.5,
    1.5,
  );
}

const planeSamples = [gaussian, bfloat].map((sample): Sample => ({
  name: `exponent planes of ${sample.dtype}`,
  dtype: "u8",
  chunks: sample.chunks.map((chunk) => exponentsOf(chunk, sample.dtype)),
}));
for (const sample of planeSamples) {
  const result = await measure(sample, [ours("planes"), planesInTypeScript(), huffmanOnly, ours("deflate")]);
  compareWith(
    `native Huffman-only, ${sample.name}`,
    result.get("planes") as Measured,
    result.get("huffman-only") as Measured,
    2.5,
    2,
  );
}

const onState = await measure(trainedAll, [ours("planes"), ours("deflate"), ...baselines, fflate6]);
const [planesOnState, fflateOnState] = [onState.get("planes"), onState.get("fflate 6")] as [
  Measured,
  Measured,
];
const faster = ratioOf(fflateOnState.encode, planesOnState.encode);
target("encode against fflate, trained state", faster.measured, ">= 15", faster.spread);
target("size against fflate, trained state", planesOnState.storedBytes / fflateOnState.storedBytes, "<= 1");
compareWith(
  "zstd-1 shuffled, trained state",
  planesOnState,
  onState.get("zstd 1 shuffled") as Measured,
  1.5,
  1.5,
);
for (const sample of others) {
  await measure(sample, [ours("planes"), ours("deflate"), ours("zstd"), ...baselines]);
}
await measureWorkers(gaussian);
await measureCopy(gaussian);

console.log(
  JSON.stringify({ bench: "codec", runtime: navigator.userAgent, adapter: "none", rounds, targets }),
);
process.exit(0);

function compareWith(
  what: string,
  mine: Measured,
  other: Measured,
  encodeTimes: number,
  decodeTimes: number,
): void {
  const encode = ratioOf(other.encode, mine.encode);
  const decode = ratioOf(other.decode, mine.decode);
  target(`encode against ${what}`, encode.measured, `>= ${encodeTimes}`, encode.spread);
  target(`decode against ${what}`, decode.measured, `>= ${decodeTimes}`, decode.spread);
  target(`size against ${what}`, mine.storedBytes / other.storedBytes, "<= 1");
}

/** Sixteen chunks through pools of one and of two threads. */
async function measureWorkers({ chunks, dtype }: Sample): Promise<void> {
  const all = [...chunks, ...chunks, ...chunks, ...chunks];
  const pools = [CodecPool.open(1), CodecPool.open(2)];
  const contenders = pools.flatMap((pool): Contender<number>[] =>
    pool === undefined ? [] : [{
      name: `${pool.size}`,
      async run() {
        const encoded = await Promise.all(all.map((raw) => pool.encode(raw.slice(), dtype, ["planes"])));
        return encoded.reduce((sum, { stored }) => sum + stored.byteLength, 0);
      },
      check(bytes) {
        const expected = all.reduce((sum, raw) => sum + ours("planes").encode(raw, dtype).byteLength, 0);
        if (bytes !== expected) throw new Error(`a pool made ${bytes} bytes, expected ${expected}`);
      },
    }]
  );
  const times = await interleaved(contenders, rounds);
  await Promise.all(pools.map((pool) => pool?.close()));
  const { measured, spread } = ratioOf(times.get("1") ?? [], times.get("2") ?? []);
  const rate = (name: string): string =>
    `${(all.length * CHUNK_BYTES / median(times.get(name) ?? []) / 1e6).toFixed(2)} GB/s`;
  console.log(`\nworkers, f32: one ${rate("1")}, two ${rate("2")}`);
  target("two workers against one, encode", measured, ">= 1.8", spread);
}

async function measureCopy({ chunks }: Sample): Promise<void> {
  const into = new Uint8Array(CHUNK_BYTES);
  const copy: Contender<void> = {
    name: "memcpy",
    run: () => chunks.forEach((chunk) => into.set(chunk)),
    check: () => {},
  };
  const times = await interleaved([copy], rounds);
  console.log(
    `memcpy ${(chunks.length * CHUNK_BYTES / median(times.get("memcpy") ?? []) / 1e6).toFixed(1)} GB/s`,
  );
}
