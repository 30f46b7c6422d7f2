/**
 * How fast is a container read, and how much memory does writing one take? `bun bench/container_bench.ts`, or
 * `deno run -A bench/container_bench.ts`.
 *
 * Files are written to a temporary folder, which is removed at the end; all reads are of files that the system has just written,
 * so they come from its cache. Rounds are interleaved: each runs contender and baseline once, in turns first, so that a busy machine
 * disturbs both alike. The result of every round is compared with the bytes that were written. The last line is JSON.
 * Options: `--rounds=15`, `--mib=512` (the raw file), `--write-mib=1024`.
 */
import { Buffer } from "node:buffer";
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { crc32 } from "../src/base/crc32.ts";
import type { CodecName } from "../src/container/codec/table.ts";
import { ContainerReader } from "../src/container/container_reader.ts";
import { ContainerWriter, type WriteReport } from "../src/container/container_writer.ts";
import type { TensorSpec } from "../src/container/layout.ts";
import type { Manifest } from "../src/container/manifest.ts";
import type { ByteSink } from "../src/container/source.ts";
import { TensorRef } from "../src/container/tensor_ref.ts";
import { FileSource } from "../src/storage/file_source.ts";
import { peakGrowth } from "../tests/helpers/peak_memory.ts";

interface Target {
  readonly name: string;
  readonly measured: number;
  readonly target: number;
  /** Slowest round by fastest. */
  readonly spread: number;
  readonly holds: boolean;
}

const MiB = 1024 * 1024;
const rounds = Math.max(7, numberOption("rounds", 15));
const directory = mkdtempSync(join(tmpdir(), "cairn-bench-"));
// A prime number of MiB, so that nothing repeats where a chunk or a tensor does.
const weights = gaussianBytes(13 * MiB);
const targets: Target[] = [];
try {
  await benchWriting();
  await benchOpening();
  await benchRawTensor();
  await benchSlice();
} finally {
  rmSync(directory, { recursive: true, force: true });
}
for (const { name, measured, target, spread, holds } of targets) {
  const figures = `${measured.toFixed(3).padStart(9)}  target ${String(target).padStart(5)}  spread ${
    spread.toFixed(2)
  }`;
  console.log(`${name.padEnd(62)} ${figures}  ${holds ? "holds" : "DOES NOT HOLD"}`);
}
const bench = { bench: "container", runtime: navigator.userAgent, adapter: "none", rounds, targets };
console.log(JSON.stringify(bench));

function numberOption(name: string, otherwise: number): number {
  const text = process.argv.find((argument) => argument.startsWith(`--${name}=`))?.split("=")[1];
  return text === undefined ? otherwise : Number(text);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

/** `atMost` is the most that the median may be. */
function record(name: string, values: readonly number[], atMost: number): void {
  const measured = median(values);
  const rounded = Number(measured.toFixed(3));
  const spread = Number((Math.max(...values) / Math.min(...values)).toFixed(2));
  targets.push({ name, measured: rounded, target: atMost, spread, holds: measured <= atMost });
}

/** Weights as after training: normal, f32. */
function gaussianBytes(byteLength: number): Uint8Array {
  const values = new Float32Array(byteLength / 4);
  let state = 12345;
  const next = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  for (let index = 0; index < values.length; index++) {
    values[index] = 0.05 * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  }
  return new Uint8Array(values.buffer);
}

function pathOf(name: string): string {
  return join(directory, name);
}

function manifestOf(state: Manifest["state"]): Manifest {
  return { kind: "tensors", state, metrics: {}, provenance: {}, user: null };
}

/** Writes the same weights again and again, as the tensors' bytes. */
async function writeFile(
  name: string,
  tensors: readonly TensorSpec[],
  codec: CodecName,
  state: Manifest["state"] = null,
): Promise<WriteReport> {
  const file = openSync(pathOf(name), "wx");
  const sink: ByteSink = {
    write(bytes) {
      for (let at = 0; at < bytes.byteLength;) at += writeSync(file, bytes, at, bytes.byteLength - at);
      return Promise.resolve();
    },
  };
  try {
    const fileId = new Uint8Array(16);
    const writer = await ContainerWriter.create(sink, { tensors, codec, fileId });
    const { rawByteLength } = writer.layout;
    for (let at = 0; at < rawByteLength;) {
      const start = at % weights.byteLength;
      const piece = weights.subarray(start, Math.min(start + MiB, start + rawByteLength - at));
      await writer.write(piece);
      at += piece.byteLength;
    }
    return await writer.finish(manifestOf(state));
  } finally {
    closeSync(file);
  }
}

/** Throws unless `bytes` are what {@link writeFile} wrote at `rawOffset`. */
function check(bytes: Uint8Array, rawOffset: number): void {
  for (let at = 0; at < bytes.byteLength;) {
    const start = (rawOffset + at) % weights.byteLength;
    const length = Math.min(bytes.byteLength - at, weights.byteLength - start);
    if (Buffer.compare(bytes.subarray(at, at + length), weights.subarray(start, start + length)) !== 0) {
      throw new Error(`The bytes at ${rawOffset + at} are not those that were written`);
    }
    at += length;
  }
}

/** Each in turn first; `checkResult` is not timed. Gives the milliseconds of the contender and its ratios, round by round. */
async function race<Result>(
  contender: (round: number) => Promise<Result>,
  baseline: (round: number) => Promise<void>,
  checkResult: (result: Result, round: number) => void,
): Promise<{ readonly ms: number[]; readonly ratios: number[] }> {
  const ms: number[] = [];
  const ratios: number[] = [];
  // Three rounds to warm up.
  for (let round = -3; round < rounds; round++) {
    const seed = round + 3;
    const timed = async <T>(work: (round: number) => Promise<T>): Promise<readonly [number, T]> => {
      const start = performance.now();
      const result = await work(seed);
      return [performance.now() - start, result];
    };
    const before = round % 2 === 0 ? undefined : await timed(baseline);
    const [own, result] = await timed(contender);
    const [other] = before ?? await timed(baseline);
    checkResult(result, seed);
    if (round < 0) continue;
    ms.push(own);
    ratios.push(own / other);
  }
  return { ms, ratios };
}

/** Once for each codec: memory is a peak, and no busy machine changes it. */
async function benchWriting(): Promise<void> {
  const mib = numberOption("write-mib", 1024);
  const tensors: TensorSpec[] = [{ name: "w", dtype: "f32", shape: [mib, MiB / 4] }];
  const growths: number[] = [];
  for (const codec of ["raw", "planes"] as const) {
    const start = performance.now();
    const growth = await peakGrowth(async () => {
      const { ratio } = await writeFile(codec, tensors, codec);
      const seconds = (performance.now() - start) / 1000;
      console.log(`wrote ${mib} MiB by ${codec}, ${ratio.toFixed(3)}x smaller, in ${seconds.toFixed(2)} s`);
    });
    growths.push(growth / MiB);
    rmSync(pathOf(codec));
  }
  record(`peak memory while writing ${mib} MiB, MiB above the source`, [Math.max(...growths)], 128);
}

async function benchOpening(): Promise<void> {
  const tensors = Array.from({ length: 10_000 }, (_, index): TensorSpec => ({
    name: `model.layers.${index >> 3}.block.${index & 7}.weight`,
    dtype: "f32",
    shape: [4, 8],
  }));
  await writeFile("many", tensors, "raw");
  const state = Object.fromEntries(tensors.map(({ name }) => [name, new TensorRef(name)]));
  await writeFile("many-with-state", tensors, "raw", state);
  const reads: number[] = [];
  const open = async (name: string): Promise<readonly TensorSpec[]> => {
    const source = await FileSource.open(pathOf(name));
    let count = 0;
    const reader = await ContainerReader.open({
      byteLength: source.byteLength,
      read: (offset, into) => (count++, source.read(offset, into)),
      close: () => source.close(),
    });
    const listed = reader.tensors;
    reads.push(count);
    await reader.close();
    return listed;
  };
  // A state dict that names each tensor is a JSON text of nearly a megabyte, which is parsed and checked as well.
  const withState: number[] = [];
  const { ms } = await race(() => open("many"), async () => {
    const start = performance.now();
    await open("many-with-state");
    withState.push(performance.now() - start);
  }, (listed) => {
    const isSame = tensors.every(({ name, shape }, index) =>
      listed[index]?.name === name && String(listed[index]?.shape) === String(shape)
    );
    if (!isSame || listed.length !== tensors.length) {
      throw new Error("The tensors listed are not those written");
    }
  });
  record("open and list 10,000 tensors, ms", ms, 5);
  record("open and list 10,000 tensors, reads", reads, 2);
  console.log(`open and list 10,000 tensors, each in a state dict too: ${median(withState).toFixed(2)} ms`);
}

async function benchRawTensor(): Promise<void> {
  // No multiple of a chunk's length, so that a tensor begins and ends inside of chunks.
  const tensorBytes = 32 * MiB - 4096;
  const count = Math.floor(numberOption("mib", 512) * MiB / tensorBytes);
  const tensors = Array.from({ length: count }, (_, index): TensorSpec => ({
    name: `w${index}`,
    dtype: "f32",
    shape: [tensorBytes / 4096, 1024],
  }));
  await writeFile("raw", tensors, "raw");
  const reader = await ContainerReader.open(await FileSource.open(pathOf("raw")));
  const file = openSync(pathOf("raw"), "r");
  const place = (round: number): number => (round * 7 % count) * tensorBytes;
  const { ms, ratios } = await race((round) => reader.read(`w${round * 7 % count}`), (round) => {
    const bytes = new Uint8Array(tensorBytes);
    const length = readSync(file, bytes, 0, tensorBytes, 4096 + place(round));
    if (length !== tensorBytes) throw new Error(`read ${length} of ${tensorBytes} bytes`);
    return Promise.resolve();
  }, (bytes, round) => check(bytes, place(round)));
  const bytes = await reader.read("w0");
  const checksums = Array.from({ length: rounds }, () => {
    const start = performance.now();
    for (let at = 0; at < tensorBytes; at += MiB) crc32(bytes.subarray(at, at + MiB));
    return performance.now() - start;
  });
  const bare = median(ms.map((own, round) => own / (ratios[round] ?? NaN)));
  const speed = (time: number): string =>
    `${time.toFixed(2)} ms (${(tensorBytes / time / 1e6).toFixed(1)} GB/s)`;
  console.log(`one raw tensor of ${(tensorBytes / MiB).toFixed(1)} MiB: ${speed(median(ms))}`);
  console.log(
    `a bare positioned read of its bytes: ${speed(bare)}; its checksums alone: ${speed(median(checksums))}`,
  );
  record("one raw tensor out of a 512 MiB file, by a bare positioned read", ratios, 1.2);
  closeSync(file);
  await reader.close();
}

async function benchSlice(): Promise<void> {
  await writeFile("planes", [{ name: "w", dtype: "f32", shape: [64, MiB / 4] }], "planes");
  const reader = await ContainerReader.open(await FileSource.open(pathOf("planes")));
  const file = openSync(pathOf("planes"), "r");
  // A single slice takes a millisecond, in which a busy machine may do anything.
  const SLICES = 8;
  const sliceOf = (index: number): readonly [number, number] => {
    const start = (index * 11 % 62) * MiB + 333_333;
    return [start, start + MiB];
  };
  const slicesOf = (round: number): (readonly [number, number])[] =>
    Array.from({ length: SLICES }, (_, index) => sliceOf(round * SLICES + index));
  const { ms, ratios } = await race(async (round) => {
    const results: Uint8Array[] = [];
    for (const slice of slicesOf(round)) results.push(await reader.read("w", { slice: { bytes: slice } }));
    return results;
  }, (round) => {
    for (const slice of slicesOf(round)) readBare(file, reader, slice);
    return Promise.resolve();
  }, (results, round) => {
    for (const [index, [start]] of slicesOf(round).entries()) {
      const bytes = results[index] as Uint8Array;
      if (bytes.byteLength !== MiB) throw new Error(`read ${bytes.byteLength} bytes`);
      check(bytes, start);
    }
  });
  console.log(`one slice of 1 MiB out of two chunks by planes: ${(median(ms) / SLICES).toFixed(2)} ms`);
  record("one 1 MiB compressed slice, by a positioned read and decoding", ratios, 1.3);
  closeSync(file);
  await reader.close();
}

/** A positioned read and decoding of each chunk that has a part in the slice, and nothing else. */
function readBare(file: number, reader: ContainerReader, [start, end]: readonly [number, number]): void {
  const touched = reader.chunks.filter((chunk) =>
    chunk.rawOffset < end && chunk.rawOffset + chunk.rawLength > start
  );
  for (const { storedOffset, storedLength, rawLength, codec, dtype } of touched) {
    const stored = new Uint8Array(storedLength);
    readSync(file, stored, 0, storedLength, storedOffset);
    const raw = codec.decode(stored, rawLength, dtype);
    if (raw.byteLength !== rawLength) throw new Error(`decoded ${raw.byteLength} bytes`);
  }
}
