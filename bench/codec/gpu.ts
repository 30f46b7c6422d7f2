/**
 * How fast does the GPU itself encode and decode by the codec `levels`? `npm run bench -- codec --gpu`.
 *
 * Against a copy on the device and against reading the raw bytes back, on the same bytes, interleaved. What it makes
 * is compared with the CPU's bytes. On an adapter that is a CPU the targets do not apply, and are printed as such.
 * The last line is JSON; with a real GPU it is kept in bench/results/. Options: `--rounds=15`, `--mib=128`,
 * `--provider=dawn`.
 */
import { Buffer } from "node:buffer";
import { mkdirSync, writeFileSync } from "node:fs";
import process from "node:process";
import { byteSizeOf, type DType } from "../../src/base/dtype.ts";
import { itemBitsOf } from "../../src/base/item_bits.ts";
import { codecByName } from "../../src/container/codec/table.ts";
import type { BufferRange } from "../../src/gpu/buffer_range.ts";
import { BufferUsage } from "../../src/gpu/constants.ts";
import { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { ReadbackRing } from "../../src/gpu/readback.ts";
import { crc32, crc32Blocks, crc32Tables, encodeCrc32Span } from "../../src/gpu_codec/crc32.ts";
import type { Dispatch } from "../../src/gpu/dispatch.ts";
import { levelsEncode } from "../../src/gpu_codec/levels_encode.ts";
import { LevelsEncoder, type LevelsSource } from "../../src/gpu_codec/levels_encoder.ts";
import { levelsMeasure } from "../../src/gpu_codec/levels_measure.ts";
import { levelsOffsets } from "../../src/gpu_codec/levels_offsets.ts";
import { encodeLevelsSpan, levelsCounts } from "../../src/gpu_codec/levels_span.ts";
import { type Contender, interleaved, median, ratioOf, type Times } from "../interleaved.ts";

const CHUNK_BYTES = 1 << 20;

interface Target {
  readonly name: string;
  readonly measured: number;
  readonly target: string;
  readonly spread: number;
  /** `null` where the target does not apply, because the adapter is a CPU. */
  readonly holds: boolean | null;
}

const option = (name: string): string | undefined =>
  process.argv.find((text) => text.startsWith(`--${name}=`))?.slice(name.length + 3);
const provider = option("provider");
const gpu = await GpuDevice.open(provider === "dawn" || provider === "native" ? { provider } : {});
const rounds = Number(option("rounds") ?? (gpu.isCpuAdapter ? 5 : 15));
const bytes = Number(option("mib") ?? (gpu.isCpuAdapter ? 4 : 128)) << 20;
const targets: Target[] = [];
console.log(
  `${gpu.adapterName}, ${gpu.provider}${
    gpu.isCpuAdapter ? ": a CPU, so that no target applies" : ""
  }; runs of ${bytes >> 20} MiB`,
);
const fenceMs = median(await times(9, () => fence()));

const weights = gaussianRows(bytes / 4);
await bench("f32", new Uint8Array(weights.buffer));
const words = new Uint32Array(weights.buffer);
// Twice the same: as many bytes as of f32.
const halves = Uint16Array.from(
  { length: bytes / 2 },
  (_, i) => toBfloat16(words[i % words.length] as number),
);
await bench("bf16", new Uint8Array(halves.buffer));

const result = JSON.stringify({
  bench: "codec --gpu",
  runtime: navigator.userAgent,
  adapter: gpu.adapterName,
  provider: gpu.provider,
  isCpuAdapter: gpu.isCpuAdapter,
  rounds,
  fenceMs: round(fenceMs),
  targets,
});
if (!gpu.isCpuAdapter) keep(result);
console.log(result);
await gpu.close();
process.exit(0);

/** Sizes and rates for one kind of bytes. */
async function bench(dtype: DType, raw: Uint8Array): Promise<void> {
  const items = itemBitsOf(dtype);
  const run = { byteLength: raw.byteLength, chunkBytes: CHUNK_BYTES };
  const counts = levelsCounts(run, items);
  const source = buffer("source", raw.byteLength);
  gpu.write(source.buffer, 0, raw);
  const stored = await storedChunks(dtype, raw, source);
  let end = 0;
  const places = Uint32Array.from(stored, ({ byteLength }) => (end += byteLength) / 4 - byteLength / 4);
  const encoded = buffer("encoded", end);
  const target = buffer("target", raw.byteLength);
  const uniform = filled("span", encodeLevelsSpan(run, items));
  const heads = buffer("heads", 4 * counts.groups);
  const offsets = buffer("offsets", 4 * counts.groups);
  const lengths = buffer("lengths", 4 * counts.chunks);
  const starts = filled("starts", places.map((_, chunk) => chunk * counts.chunkGroups));
  const placed = filled("places", places);
  const summing = {
    span: filled("crc32 span", encodeCrc32Span(run)),
    tables: filled("crc32 tables", crc32Tables()),
    parts: buffer("crc32 parts", 4 * crc32Blocks(run)),
  };
  const encodePasses = [
    levelsMeasure({ span: uniform, source, heads }, counts),
    levelsOffsets({ span: uniform, heads, starts, offsets, lengths }, counts),
    crc32({ ...summing, source }, run),
    levelsEncode({ span: uniform, source, heads, offsets, targets: placed, stored: encoded }, counts),
  ];
  const ring = new ReadbackRing(gpu);
  const encoder = new LevelsEncoder(gpu);
  const copy = (encoder: GPUCommandEncoder): void =>
    encoder.copyBufferToBuffer(source.buffer, 0, target.buffer, 0, raw.byteLength);
  const contenders = [
    await onDevice("copy", copy, async () => sameBytes(await read(target), raw)),
    await onDevice("encode", await passes(encodePasses), async () => {
      const found = await read(encoded);
      for (const [chunk, expected] of stored.entries()) {
        const at = 4 * (places[chunk] as number);
        sameBytes(found.subarray(at, at + expected.byteLength), expected);
      }
    }),
    readback(ring, source, raw),
    throughEncoder(encoder, { range: source, dtype, chunkBytes: CHUNK_BYTES }, end),
  ];
  const measured = await interleaved(contenders.map(({ contender }) => contender), rounds);
  const perRun = new Map(contenders.map(({ contender: { name }, repetitions }) => {
    const net = repetitions === 0 ? 0 : fenceMs;
    return [
      name,
      (measured.get(name) ?? []).map((ms) => Math.max(ms - net, 0.001) / Math.max(1, repetitions)),
    ];
  }));
  report(dtype, raw, stored, perRun);
  ring.close();
  encoder.close();
  for (
    const range of [source, encoded, target, uniform, heads, offsets, lengths, starts, placed]
  ) {
    gpu.destroyBuffer(range.buffer);
  }
  for (const range of [summing.span, summing.tables, summing.parts]) gpu.destroyBuffer(range.buffer);
}

/** What the encoder gives, after comparing some of it with the CPU's bytes. */
async function storedChunks(dtype: DType, raw: Uint8Array, range: BufferRange): Promise<Uint8Array[]> {
  const encoder = new LevelsEncoder(gpu);
  const chunks: Uint8Array[] = [];
  for await (const { stored, codec } of encoder.encode({ range, dtype, chunkBytes: CHUNK_BYTES })) {
    if (codec !== "levels") throw new Error("a chunk of weights did not pay");
    chunks.push(stored.slice());
  }
  encoder.close();
  for (const index of [0, chunks.length >> 1, chunks.length - 1]) {
    const chunk = raw.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES);
    const onHost = codecByName("levels").encode(chunk, dtype) ?? chunk;
    sameBytes(chunks[index] ?? new Uint8Array(), onHost);
    sameBytes(codecByName("levels").decode(onHost, chunk.byteLength, dtype), chunk);
  }
  return chunks;
}

/** A contender, and how often it does its work in one run; 0 where it waits for the GPU by itself. */
interface OnGpu {
  readonly contender: Contender<void>;
  readonly repetitions: number;
}

/** Work that stays on the device, repeated until it is long against a fence. */
async function onDevice(
  name: string,
  encode: (encoder: GPUCommandEncoder) => void,
  check: () => Promise<void>,
): Promise<OnGpu> {
  const work = (repetitions: number): void => {
    const encoder = gpu.device.createCommandEncoder();
    for (let i = 0; i < repetitions; i++) encode(encoder);
    gpu.submit(encoder);
  };
  await fence(() => work(1));
  await check();
  const once = Math.max(await fence(() => work(1)) - fenceMs, 0.01);
  const repetitions = Math.min(1000, Math.ceil((40 + fenceMs) / once));
  return {
    contender: { name, run: async () => void await fence(() => work(repetitions)), check },
    repetitions,
  };
}

function readback(ring: ReadbackRing, source: BufferRange, raw: Uint8Array): OnGpu {
  return {
    contender: {
      name: "read-back",
      async run() {
        let at = 0;
        for await (const piece of ring.stream([source])) {
          at += piece.byteLength;
          if (piece[0] !== raw[at - piece.byteLength]) throw new Error("the read-back gave other bytes");
        }
      },
      check: () => {},
    },
    repetitions: 0,
  };
}

function throughEncoder(encoder: LevelsEncoder, source: LevelsSource, expected: number): OnGpu {
  return {
    contender: {
      name: "encode and read back",
      async run() {
        let total = 0;
        for await (const chunk of encoder.encode(source)) total += chunk.stored.byteLength;
        if (total !== expected) throw new Error(`the encoder gave ${total} bytes, expected ${expected}`);
      },
      check: () => {},
    },
    repetitions: 0,
  };
}

function report(
  dtype: DType,
  raw: Uint8Array,
  stored: readonly Uint8Array[],
  perRun: ReadonlyMap<string, Times>,
): void {
  const storedBytes = stored.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const planes = codecByName("planes");
  let [sampleBytes, planesBytes] = [0, 0];
  for (let at = 0; at < Math.min(raw.byteLength, 8 * CHUNK_BYTES); at += CHUNK_BYTES) {
    const chunk = raw.subarray(at, at + CHUNK_BYTES);
    sampleBytes += chunk.byteLength;
    planesBytes += planes.encode(chunk, dtype)?.byteLength ?? chunk.byteLength;
  }
  const bound = entropyBound(raw, dtype);
  console.log(
    `\n${dtype}: ${(raw.byteLength / storedBytes).toFixed(3)}x smaller, planes ${
      (sampleBytes / planesBytes).toFixed(3)
    }x, order-0 bound ${(raw.byteLength / bound).toFixed(3)}x`,
  );
  for (const [name, ms] of perRun) {
    const rate = raw.byteLength / median(ms) / 1e6;
    console.log(`  ${name.padEnd(22)} ${rate.toPrecision(3).padStart(9)} GB/s of raw bytes`);
  }
  const at = (name: string): Times => perRun.get(name) ?? [];
  addTarget(
    `ratio against the order-0 bound, ${dtype}`,
    { measured: bound / storedBytes, spread: 0 },
    0.97,
    true,
  );
  addTarget(
    `encode against device copy, ${dtype}`,
    ratioOf(at("copy"), at("encode")),
    0.1,
    !gpu.isCpuAdapter,
  );
  addTarget(
    `encode against read-back, ${dtype}`,
    ratioOf(at("read-back"), at("encode")),
    3,
    !gpu.isCpuAdapter,
  );
  const through = ratioOf(at("read-back"), at("encode and read back"));
  console.log(`  encoded bytes come back at ${round(through.measured)}x the rate of raw ones`);
}

function addTarget(
  name: string,
  { measured, spread }: { measured: number; spread: number },
  least: number,
  applies: boolean,
): void {
  const holds = applies ? measured >= least : null;
  targets.push({ name, measured: round(measured), target: `>= ${least}`, spread: round(spread), holds });
  const verdict = holds === null ? "no target on a CPU:" : holds ? "holds " : "MISSES";
  console.log(`${verdict} ${name}: ${round(measured)} (>= ${least})`);
}

/** The bytes that an order-0 code of the exponents cannot go below, with signs and mantissas whole. */
function entropyBound(raw: Uint8Array, dtype: DType): number {
  const { shift, exponentBits, bits } = itemBitsOf(dtype);
  const values = byteSizeOf(dtype) === 4
    ? new Uint32Array(raw.buffer, raw.byteOffset, raw.byteLength / 4)
    : new Uint16Array(raw.buffer, raw.byteOffset, raw.byteLength / 2);
  const occurrences = new Float64Array(1 << exponentBits);
  for (const value of values) {
    const exponent = (value >>> shift) & (occurrences.length - 1);
    occurrences[exponent] = (occurrences[exponent] as number) + 1;
  }
  let total = values.length * (bits - exponentBits);
  for (const n of occurrences) if (n > 0) total -= n * Math.log2(n / values.length);
  return total / 8;
}

/** Normal weights in rows of 512, each row with a scale of its own. */
function gaussianRows(count: number): Float32Array {
  let seed = 7;
  const random = (): number => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const values = new Float32Array(count);
  let scale = 1;
  for (let i = 0; i < count; i++) {
    if (i % 512 === 0) scale = 0.02 * Math.exp(random() - 0.5);
    values[i] = scale * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  }
  return values;
}

/** Round to nearest even; the weights hold no NaN. */
function toBfloat16(word: number): number {
  return (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
}

// The device ------------------------------------------------------------------------------------------------

function buffer(label: string, size: number): BufferRange {
  const { STORAGE, UNIFORM, COPY_SRC, COPY_DST } = BufferUsage;
  return { buffer: gpu.createBuffer(label, size, STORAGE | UNIFORM | COPY_SRC | COPY_DST), offset: 0, size };
}

function filled(label: string, contents: Uint32Array): BufferRange {
  const range = buffer(label, contents.byteLength);
  gpu.write(range.buffer, 0, new Uint8Array(contents.buffer));
  return range;
}

async function read(range: BufferRange): Promise<Uint8Array> {
  const [found = new Uint8Array()] = await gpu.read([range]);
  return found;
}

async function passes(dispatches: readonly Dispatch[]): Promise<(encoder: GPUCommandEncoder) => void> {
  const prepared = await Promise.all(dispatches.map(async (dispatch) => {
    const pipeline = await gpu.pipeline(dispatch);
    return { pipeline, group: gpu.bindGroup(dispatch.label, pipeline, dispatch.bindings), ...dispatch };
  }));
  return (encoder) => {
    const pass = encoder.beginComputePass();
    for (const { pipeline, group, workgroups } of prepared) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...workgroups);
    }
    pass.end();
  };
}

/** Milliseconds until the work is done. */
async function fence(work: () => void = () => gpu.submit([])): Promise<number> {
  const start = performance.now();
  work();
  await gpu.device.queue.onSubmittedWorkDone();
  return performance.now() - start;
}

async function times(count: number, measure: () => Promise<number>): Promise<number[]> {
  const found: number[] = [];
  for (let index = 0; index < count; index++) found.push(await measure());
  return found;
}

function sameBytes(found: Uint8Array, expected: Uint8Array): void {
  if (Buffer.compare(found, expected) !== 0) throw new Error("what came back are other bytes");
}

function keep(line: string): void {
  const runtime = navigator.userAgent.split("/")[0] ?? "";
  const parts = `codec_gpu ${gpu.adapterName} ${runtime} ${gpu.provider}`;
  const name = parts.toLowerCase().replace(/[^a-z0-9]+/g, "_");
  const folder = new URL("../results/", import.meta.url);
  mkdirSync(folder, { recursive: true });
  writeFileSync(new URL(`${name}.json`, folder), `${line}\n`);
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}
