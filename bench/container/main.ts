/**
 * How fast is a container read, and how much memory does writing one take? `bun bench/container/main.ts`, or
 * `deno run -A bench/container/main.ts`.
 *
 * Files are written to a temporary folder, which is removed at the end; all reads are of files that the system has
 * just written, so they come from its cache. Rounds are interleaved: each runs contender and baseline once, in turns
 * first, so that a busy machine disturbs both alike; ratios are also taken of the processor's time. The result of
 * every round is compared with the bytes that were written. Peaks of memory are those of child processes. The last
 * line is JSON. Options: `--rounds=15`, `--mib=512` (the raw file), `--write-mib=1024`.
 */
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { crc32 } from "../../src/base/crc32/crc32.ts";
import type { CodecName } from "../../src/container/codec/table.ts";
import { ContainerReader } from "../../src/container/read/container_reader.ts";
import type { TensorSpec } from "../../src/container/format/layout.ts";
import { TensorRef } from "../../src/container/format/tensor_ref.ts";
import { FileSource } from "../../src/storage/file_source.ts";
import { runtimeCommand } from "../../tests/helpers/child.ts";
import { check, MiB, writeFile } from "./files.ts";
import { median } from "../interleaved.ts";

interface Target {
  readonly name: string;
  readonly measured: number;
  readonly target: number;
  /** Slowest round by fastest. */
  readonly spread: number;
  readonly holds: boolean;
  /** The same ratio by the processor's time instead of the clock's. */
  readonly byCpu?: number;
}

/** Child processes for each way of writing. */
const MEMORY_RUNS = 3;
const rounds = Math.max(7, numberOption("rounds", 15));
const directory = mkdtempSync(join(tmpdir(), "cairn-bench-"));
const targets: Target[] = [];
try {
  benchWriting();
  await benchOpening();
  await benchRawTensor();
  await benchSlice();
} finally {
  rmSync(directory, { recursive: true, force: true });
}
for (const { name, measured, target, spread, holds, byCpu } of targets) {
  const figures = `${measured.toFixed(3).padStart(9)}  target ${String(target).padStart(5)}  spread ${
    spread.toFixed(2)
  }`;
  const more = byCpu === undefined ? "" : `, ${byCpu.toFixed(3)} by processor time`;
  console.log(`${name.padEnd(62)} ${figures}  ${holds ? "holds" : "DOES NOT HOLD"}${more}`);
}
const bench = { bench: "container", runtime: navigator.userAgent, adapter: "none", rounds, targets };
console.log(JSON.stringify(bench));

function numberOption(name: string, otherwise: number): number {
  const text = process.argv.find((argument) => argument.startsWith(`--${name}=`))?.split("=")[1];
  return text === undefined ? otherwise : Number(text);
}

/** `atMost` is the most that the median may be. */
function record(
  name: string,
  values: readonly number[],
  atMost: number,
  cpuRatios?: readonly number[],
): void {
  const measured = median(values);
  const rounded = Number(measured.toFixed(3));
  const spread = Number((Math.max(...values) / Math.min(...values)).toFixed(2));
  targets.push({
    name,
    measured: rounded,
    target: atMost,
    spread,
    holds: measured <= atMost,
    ...cpuRatios === undefined ? {} : { byCpu: Number(median(cpuRatios).toFixed(3)) },
  });
}

function pathOf(name: string): string {
  return join(directory, name);
}

/** What came of a race, round by round. */
interface Raced {
  /** Milliseconds of the contender. */
  readonly ms: number[];
  /** Its time by the baseline's. */
  readonly ratios: number[];
  /** The same by the processor's time, of all threads of this process together. */
  readonly cpuRatios: number[];
}

interface Timed<Result> {
  readonly ms: number;
  readonly cpuMs: number;
  readonly result: Result;
}

/** Each in turn first; `checkResult` is not timed. */
async function race<Result>(
  contender: (round: number) => Promise<Result>,
  baseline: (round: number) => Promise<void>,
  checkResult: (result: Result, round: number) => void,
): Promise<Raced> {
  const raced: Raced = { ms: [], ratios: [], cpuRatios: [] };
  // Three rounds to warm up.
  for (let round = -3; round < rounds; round++) {
    const seed = round + 3;
    const before = round % 2 === 0 ? undefined : await timed(() => baseline(seed));
    const own = await timed(() => contender(seed));
    const other = before ?? await timed(() => baseline(seed));
    checkResult(own.result, seed);
    if (round < 0) continue;
    raced.ms.push(own.ms);
    raced.ratios.push(own.ms / other.ms);
    raced.cpuRatios.push(own.cpuMs / other.cpuMs);
  }
  return raced;
}

async function timed<Result>(work: () => Promise<Result>): Promise<Timed<Result>> {
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  const result = await work();
  const ms = performance.now() - start;
  const { user, system } = process.cpuUsage(cpuBefore);
  return { ms, cpuMs: (user + system) / 1000, result };
}

/**
 * In processes of their own, since a process rarely gives memory back: what another part of the bench left would be
 * used first, and not be counted.
 */
function benchWriting(): void {
  const mib = numberOption("write-mib", 1024);
  const growths: number[][] = [];
  for (const [codec, workers] of [["raw", 0], ["planes", 0], ["planes", 2]] as const) {
    const runs = Array.from({ length: MEMORY_RUNS }, () => writtenInChild(codec, mib, workers));
    growths.push(runs.map(({ growth }) => growth / MiB));
    const seconds = median(runs.map(({ seconds }) => seconds));
    const by = workers === 0 ? codec : `${codec} in ${workers} workers`;
    console.log(
      `wrote ${mib} MiB by ${by}, ${runs[0]?.ratio.toFixed(3)}x smaller, in ${seconds.toFixed(2)} s, with ${
        median(growths.at(-1) ?? []).toFixed(0)
      } MiB above the source`,
    );
  }
  const most = growths.reduce((a, b) => median(b) > median(a) ? b : a);
  record(`peak memory while writing ${mib} MiB, MiB above the source`, most, 128);
}

interface WrittenInChild {
  readonly growth: number;
  readonly ratio: number;
  readonly seconds: number;
}

function writtenInChild(codec: CodecName, mib: number, workers: number): WrittenInChild {
  const [program = "", ...before] = runtimeCommand(new URL("./memory.ts", import.meta.url));
  const path = pathOf("written");
  const { status, stdout, stderr } = spawnSync(
    program,
    [...before, path, codec, String(mib), String(workers)],
    { encoding: "utf8" },
  );
  rmSync(path, { force: true });
  if (status !== 0) throw new Error(`writing ${mib} MiB by ${codec} ended with ${status}: ${stderr}`);
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as WrittenInChild;
}

async function benchOpening(): Promise<void> {
  const tensors = Array.from({ length: 10_000 }, (_, index): TensorSpec => ({
    name: `model.layers.${index >> 3}.block.${index & 7}.weight`,
    dtype: "f32",
    shape: [4, 8],
  }));
  await writeFile({ path: pathOf("many"), tensors, codec: "raw" });
  const state = Object.fromEntries(tensors.map(({ name }) => [name, new TensorRef(name)]));
  await writeFile({ path: pathOf("many-with-state"), tensors, codec: "raw", state });
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
  const header = safetensorsHeader(tensors);
  const { ratios } = await race(() => open("many"), () => {
    const parsed = JSON.parse(header) as Record<string, unknown>;
    if (Object.keys(parsed).length !== tensors.length) throw new Error("The header lost tensors");
    return Promise.resolve();
  }, (listed) => {
    if (listed.length !== tensors.length) throw new Error("The tensors listed are not those written");
  });
  console.log(`open and list 10,000 tensors: ${median(ms).toFixed(2)} ms`);
  record("open and list 10,000 tensors, by JSON.parse of their safetensors header", ratios, 0.5);
  record("open and list 10,000 tensors, reads", reads, 2);
  console.log(`open and list 10,000 tensors, each in a state dict too: ${median(withState).toFixed(2)} ms`);
}

/** The header of a safetensors file with the same tensors. */
function safetensorsHeader(tensors: readonly TensorSpec[]): string {
  let at = 0;
  return JSON.stringify(Object.fromEntries(tensors.map(({ name, shape }) => {
    const begin = at;
    at += 4 * shape.reduce((product, size) => product * size, 1);
    return [name, { dtype: "F32", shape, data_offsets: [begin, at] }];
  })));
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
  await writeFile({ path: pathOf("raw"), tensors, codec: "raw" });
  const reader = await ContainerReader.open(await FileSource.open(pathOf("raw")));
  const file = openSync(pathOf("raw"), "r");
  const place = (round: number): number => (round * 7 % count) * tensorBytes;
  const readBareInto = (bytes: Uint8Array, round: number): Promise<void> => {
    const length = readSync(file, bytes, 0, tensorBytes, 4096 + place(round));
    if (length !== tensorBytes) throw new Error(`read ${length} of ${tensorBytes} bytes`);
    return Promise.resolve();
  };
  // In pieces that are still in the processor's cache when they are summed up: no reader that checks what it gives is
  // faster.
  const readAndSumUp = (bytes: Uint8Array, round: number): Promise<void> => {
    for (let at = 0; at < tensorBytes; at += MiB) {
      const length = Math.min(MiB, tensorBytes - at);
      if (readSync(file, bytes, at, length, 4096 + place(round) + at) !== length) {
        throw new Error("short read");
      }
      crc32(bytes.subarray(at, at + length));
    }
    return Promise.resolve();
  };
  // Both into memory that is there already: in new memory most of the time is the system's, and who gets some that
  // was used before is luck.
  const [bytes, other] = [new Uint8Array(tensorBytes), new Uint8Array(tensorBytes)];
  const { ms, ratios, cpuRatios } = await race(
    (round) => reader.readInto(`w${round * 7 % count}`, bytes),
    (round) => readAndSumUp(other, round),
    (_, round) => check(bytes, place(round)),
  );
  const byBareRead = await race(
    (round) => reader.readInto(`w${round * 7 % count}`, bytes),
    (round) => readBareInto(other, round),
    (_, round) => check(bytes, place(round)),
  );
  const speed = (time: number): string =>
    `${time.toFixed(2)} ms (${(tensorBytes / time / 1e6).toFixed(1)} GB/s)`;
  console.log(
    `one raw tensor of ${(tensorBytes / MiB).toFixed(1)} MiB: ${speed(median(ms))}, ${
      median(byBareRead.ratios).toFixed(2)
    }x a bare read without checksums, ${median(byBareRead.cpuRatios).toFixed(2)}x by processor time`,
  );
  record("one raw tensor out of a 512 MiB file, by a read and its checksums", ratios, 1.1, cpuRatios);
  closeSync(file);
  await reader.close();
}

async function benchSlice(): Promise<void> {
  const tensors: TensorSpec[] = [{ name: "w", dtype: "f32", shape: [64, MiB / 4] }];
  await writeFile({ path: pathOf("planes"), tensors, codec: "planes" });
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
  const { ms, ratios, cpuRatios } = await race(async (round) => {
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
  record("one 1 MiB compressed slice, by a positioned read and decoding", ratios, 1.3, cpuRatios);
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
