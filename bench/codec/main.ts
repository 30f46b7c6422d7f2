/**
 * How small and how fast are the codecs? `npm run bench -- codec`, or `bun bench/codec/main.ts`.
 *
 * On chunks of 1 MiB, as in a file, on one core: every contender runs once a round on the same bytes, and what it
 * gives is compared bit for bit. Rates are of raw bytes, by the clock and by the processor's time; whether a target
 * holds is decided by the clock. Blosc is installed into bench/peers/blosc when it is not there, and left out where
 * it cannot be. The last line is JSON. Option: `--rounds=9`.
 */
import { Buffer } from "node:buffer";
import process from "node:process";
import {
  type Baseline,
  bloscBaselines,
  deflate6,
  fflate6,
  huffmanOnly,
  ours,
  planesInTypeScript,
  zstd,
} from "./baselines.ts";
import {
  CHUNK_BYTES,
  entropyBound,
  exponentsOf,
  gaussianRows,
  random,
  type Sample,
  sampleOf,
  toBfloat16,
  toFloat16,
} from "./samples.ts";
import { compareWorkers } from "./workers.ts";
import {
  type Contender,
  interleaved,
  interleavedWithCpu,
  type Measured,
  median,
  ratioOf,
} from "../interleaved.ts";
import { trainedState } from "./trained_state.ts";

const rounds = Number(process.argv.find((text) => text.startsWith("--rounds="))?.slice(9) ?? 9);

interface Target {
  readonly name: string;
  readonly measured: number;
  readonly target: string;
  readonly spread: number;
  readonly holds: boolean;
  /** The same ratio by the processor's time instead of the clock's, where it is one of work on one thread. */
  readonly byCpu?: number;
  /** The most that this machine allowed in the same rounds, where it is a matter of a second thread. */
  readonly ceiling?: number;
  /** The same of two threads that each do this work without a pool. */
  readonly alone?: number;
}

/** Raw bytes that are encoded of noise and of a trained state. */
const ENCODED_BYTES = 64 * CHUNK_BYTES;

const targets: Target[] = [];

function target(
  name: string,
  measured: number,
  limit: string,
  spread = 0,
  { byCpu, ceiling, alone }: Pick<Target, "byCpu" | "ceiling" | "alone"> = {},
): void {
  const bound = Number(limit.slice(3));
  const holds = limit.startsWith("<=") ? measured <= bound : measured >= bound;
  targets.push({
    name,
    measured: round(measured),
    target: limit,
    spread: round(spread),
    holds,
    ...byCpu === undefined ? {} : { byCpu: round(byCpu) },
    ...ceiling === undefined ? {} : { ceiling: round(ceiling) },
    ...alone === undefined ? {} : { alone: round(alone) },
  });
  const more = `${spread === 0 ? "" : `, spread ${round(spread)}`}${
    byCpu === undefined ? "" : `, by processor time ${round(byCpu)}`
  }`;
  console.log(`${holds ? "holds " : "MISSES"} ${name}: ${round(measured)} (${limit}${more})`);
}

/** How many times `slow` took what `fast` took. The clock decides whether it holds. */
function targetRatio(name: string, slow: Measured, fast: Measured, limit: string): void {
  const { measured, spread } = ratioOf(slow.ms, fast.ms);
  target(name, measured, limit, spread, {
    byCpu: ratioOf(slow.cpuMs, fast.cpuMs).measured,
  });
}

const round = (value: number): number => Number(value.toPrecision(4));

/** What became of a sample by one codec. */
interface Coded {
  readonly storedBytes: number;
  readonly encode: Measured;
  readonly decode: Measured;
}

/** Encodes and decodes all chunks of a sample with every codec, interleaved. */
async function measure(sample: Sample, codecs: readonly Baseline[]): Promise<Map<string, Coded>> {
  const { chunks, dtype } = sample;
  // Memory for results, for codecs that take it: a writer and a reader of a container use theirs again and again, too.
  const into = chunks.map(({ byteLength }) => new Uint8Array(byteLength));
  const stored = new Map<Baseline, Uint8Array[]>();
  for (const codec of codecs) {
    stored.set(
      codec,
      (await encodeAll(codec, sample, into)).map((bytes) => bytes.slice()),
    );
  }
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
    run: () => encodeAll(codec, sample, into),
    check: sameAsStored(codec),
  }, {
    name: `decode ${codec.name}`,
    run: () => decodeAll(codec, sample, stored.get(codec) ?? [], into),
    check: sameAsRaw(codec),
  }]);
  const times = await interleavedWithCpu(contenders, rounds);
  const rawBytes = chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);
  console.log(
    `\n${sample.name}, ${dtype}, ${(rawBytes / 2 ** 20).toFixed(1)} MiB (in brackets by processor time)`,
  );
  return new Map(codecs.map((codec) => {
    const coded: Coded = {
      encode: times.get(`encode ${codec.name}`) as Measured,
      decode: times.get(`decode ${codec.name}`) as Measured,
      storedBytes: (stored.get(codec) ?? []).reduce((sum, { byteLength }) => sum + byteLength, 0),
    };
    const ratio = (rawBytes / coded.storedBytes).toFixed(3);
    const rate = ({ ms, cpuMs }: Measured): string =>
      `${gigabytes(rawBytes, ms)} GB/s (${gigabytes(rawBytes, cpuMs)})`.padStart(19);
    console.log(
      `  ${codec.name.padEnd(16)} ${ratio}x  encode ${rate(coded.encode)}  decode ${rate(coded.decode)}`,
    );
    return [codec.name, coded];
  }));
}

function gigabytes(bytes: number, ms: readonly number[]): string {
  return (bytes / median(ms) / 1e6).toFixed(2);
}

async function encodeAll(
  codec: Baseline,
  { chunks, dtype }: Sample,
  into: readonly Uint8Array[],
): Promise<Uint8Array[]> {
  const results: Uint8Array[] = [];
  for (const [i, raw] of chunks.entries()) {
    const encoded = codec.encode(raw, dtype, into[i]);
    results.push(encoded instanceof Uint8Array ? encoded : await encoded);
  }
  return results;
}

async function decodeAll(
  codec: Baseline,
  { chunks, dtype }: Sample,
  stored: readonly Uint8Array[],
  into: readonly Uint8Array[],
): Promise<Uint8Array[]> {
  const results: Uint8Array[] = [];
  for (const [i, bytes] of stored.entries()) {
    const decoded = codec.decode(bytes, (chunks[i] as Uint8Array).byteLength, dtype, into[i]);
    results.push(decoded instanceof Uint8Array ? decoded : await decoded);
  }
  return results;
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
const blosc = await bloscBaselines();
if (typeof blosc === "string") console.log(`blosc of numcodecs: absent (${blosc})`);
// As many bytes of each, in turns.
const noiseAndState = await interleavedWithCpu(
  [gaussian, trainedAll].map((sample): Contender<number> => ({
    name: sample.name,
    run: () => encodeOften(sample),
    check: () => {},
  })),
  rounds,
);
const baselines = [huffmanOnly, deflate6, zstd(1, false), zstd(1, true), zstd(3, false), zstd(3, true)];
if (typeof blosc !== "string") baselines.push(...blosc);

for (const sample of [gaussian, bfloat, half]) {
  const result = await measure(sample, [ours("planes"), ours("deflate"), ...baselines.slice(2)]);
  const planes = result.get("planes") as Coded;
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
    result.get("zstd 1 shuffled") as Coded,
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
    result.get("planes") as Coded,
    result.get("huffman-only") as Coded,
    2.5,
    2,
  );
}

const onState = await measure(trainedAll, [ours("planes"), ours("deflate"), ...baselines, fflate6]);
const [planesOnState, fflateOnState] = [onState.get("planes"), onState.get("fflate 6")] as [
  Coded,
  Coded,
];
targetRatio("encode against fflate, trained state", fflateOnState.encode, planesOnState.encode, ">= 15");
target("size against fflate, trained state", planesOnState.storedBytes / fflateOnState.storedBytes, "<= 1");
const [noiseTimes, stateTimes] = [gaussian, trainedAll].map(({ name }) =>
  noiseAndState.get(name) as Measured
) as [
  Measured,
  Measured,
];
targetRatio("encode, trained state against Gaussian noise", noiseTimes, stateTimes, ">= 0.85");
compareWith(
  "zstd-1 shuffled, trained state",
  planesOnState,
  onState.get("zstd 1 shuffled") as Coded,
  1.5,
  1.5,
);
for (const sample of others) {
  await measure(sample, [ours("planes"), ours("deflate"), ours("zstd"), ...baselines]);
}
console.log("");
for (const { name, measured, spread, ceiling, alone } of await compareWorkers(gaussian, rounds)) {
  // Of what two threads reach that only count.
  target(name, measured, `>= ${round(0.92 * ceiling)}`, spread, { ceiling, alone });
}
await measureCopy(gaussian);

console.log(
  JSON.stringify({ bench: "codec", runtime: navigator.userAgent, adapter: "none", rounds, targets }),
);
process.exit(0);

function compareWith(
  what: string,
  mine: Coded,
  other: Coded,
  encodeTimes: number,
  decodeTimes: number,
): void {
  targetRatio(`encode against ${what}`, other.encode, mine.encode, `>= ${encodeTimes}`);
  targetRatio(`decode against ${what}`, other.decode, mine.decode, `>= ${decodeTimes}`);
  target(`size against ${what}`, mine.storedBytes / other.storedBytes, "<= 1");
}

/** Encodes as many bytes of each sample, whatever its chunks are; gives the number of stored ones. */
function encodeOften({ chunks, dtype }: Sample): number {
  const planes = ours("planes");
  const into = new Uint8Array(CHUNK_BYTES);
  let stored = 0;
  for (let left = ENCODED_BYTES, i = 0; left > 0; i++) {
    const raw = (chunks[i % chunks.length] as Uint8Array).subarray(0, left);
    stored += (planes.encode(raw, dtype, into) as Uint8Array).byteLength;
    left -= raw.byteLength;
  }
  return stored;
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
