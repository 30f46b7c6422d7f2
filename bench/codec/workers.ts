import { Buffer } from "node:buffer";
import { crc32 } from "../../src/base/crc32/crc32.ts";
import { encodeSmallest } from "../../src/container/codec/choose.ts";
import { CodecPool, type PostedJob } from "../../src/container/codec/codec_pool.ts";
import type { Lent } from "../../src/container/codec/lent.ts";
import { type ChunkSums, decodeChecked } from "../../src/container/codec/decode_checked.ts";
import { planesCodec } from "../../src/container/codec/planes/planes.ts";
import { CHUNK_BYTES, type Sample } from "./samples.ts";
import { type Contender, interleavedWithCpu, type Measured, median, ratioOf } from "../interleaved.ts";
import { type Spin, SpinningThreads } from "./spinning_threads.ts";

/** One row of the table. */
export interface WorkerRow {
  readonly name: string;
  readonly measured: number;
  readonly spread: number;
  /** What two threads that share nothing and only count get done against one, in the same rounds. */
  readonly ceiling: number;
  /** The same of two threads that each do this work on a chunk of their own. */
  readonly alone: number;
}

/** A chunk in both its forms. */
interface BenchChunk {
  readonly raw: Uint8Array;
  readonly stored: Uint8Array;
  readonly sums: ChunkSums;
}

type Work = "encode" | "decode";

// So many chunks in a round that starting and ending makes no difference.
const CHUNKS = 64;
// So many before each: a thread that was just woken is put on the processor of the one that woke it, and is moved to
// another only when it has been busy for some time.
const CHUNKS_BEFORE = 256;
const SPINS: readonly Spin[] = ["count", "encode", "decode"];

/**
 * How much faster this thread and a worker are than this thread alone, in encoding and decoding chunks in shared
 * memory, as after reading them there. Printed beside it: the same where this thread copies each chunk there and its
 * result back, as a container's writer does; two workers and this thread; and how much faster two threads are than one
 * where they share nothing, which is the most that a pool can reach.
 */
export async function compareWorkers(sample: Sample, rounds: number): Promise<WorkerRow[]> {
  const pools = [CodecPool.open(1), CodecPool.open(2)].filter((pool) => pool !== undefined);
  const threads = await SpinningThreads.start(2, {
    raw: sample.chunks[0] ?? new Uint8Array(4),
    dtype: sample.dtype,
  });
  const chunks = chunksOf(sample);
  try {
    const contenders = (["encode", "decode"] as const).flatMap((work) => [
      alone(work, chunks),
      ...pools.flatMap((pool) => [inPlace(work, pool, chunks), copying(work, pool, chunks)]),
    ]);
    const spins = SPINS.flatMap((spin) =>
      [1, 2].map((count): Contender<number> => ({
        name: `threads ${spin} ${count}`,
        run: () => threads.spin(count, spin),
        check: () => {},
      }))
    );
    const times = await interleavedWithCpu([...contenders, ...spins], rounds);
    const timesOf = (name: string): Measured => times.get(name) as Measured;
    // Two of these threads do twice the work of one.
    const apart = (spin: Spin): number =>
      2 * ratioOf(timesOf(`threads ${spin} 1`).ms, timesOf(`threads ${spin} 2`).ms).measured;
    for (const spin of SPINS) {
      console.log(`two threads that share nothing and ${spin} do ${apart(spin).toFixed(2)}x the work of one`);
    }
    return (["encode", "decode"] as const).map((work): WorkerRow => {
      const one = timesOf(`${work} alone`);
      console.log(`${work}: this thread alone ${described(one)}`);
      for (const { size } of pools) {
        for (const kind of [work, `${work} copied`]) {
          const more = timesOf(`${kind} ${size}`);
          const { measured } = ratioOf(one.ms, more.ms);
          console.log(`${kind}, with workers, ${size}: ${described(more)}: ${measured.toFixed(2)}x`);
        }
      }
      return {
        name: `this thread and a worker against this thread, ${work}`,
        ...ratioOf(one.ms, timesOf(`${work} 1`).ms),
        ceiling: apart("count"),
        alone: apart(work),
      };
    });
  } finally {
    threads.close();
    await Promise.all(pools.map((pool) => pool.close()));
  }
}

/** Rate by the clock, and the processor's time for a chunk on all threads together. */
function described({ ms, cpuMs }: Measured): string {
  const rate = CHUNKS * CHUNK_BYTES / median(ms) / 1e6;
  return `${rate.toFixed(2)} GB/s, ${(median(cpuMs) / CHUNKS).toFixed(3)} ms of processor a chunk`;
}

function chunksOf({ chunks, dtype }: Sample): BenchChunk[] {
  const coded = chunks.map((raw): BenchChunk => {
    const stored = (planesCodec.encode(raw, dtype) ?? raw).slice();
    const sums = { dtype, rawLength: raw.byteLength, storedCrc: crc32(stored), rawCrc: crc32(raw) };
    return { raw, stored, sums };
  });
  return Array.from({ length: CHUNKS }, (_, i) => coded[i % coded.length] as BenchChunk);
}

/** One chunk after the other, with its checksums, to memory that is used again. */
function alone(work: Work, chunks: readonly BenchChunk[]): Contender<number> {
  const into = new Uint8Array(CHUNK_BYTES);
  const code = ({ raw, stored, sums }: BenchChunk): number =>
    work === "encode"
      ? encodeSmallest(raw, sums.dtype, ["planes"], into).storedCrc
      : decodeChecked(planesCodec, stored, sums, into).byteLength;
  return {
    name: `${work} alone`,
    prepare() {
      for (let i = 0; i < CHUNKS_BEFORE; i++) code(chunks[i % chunks.length] as BenchChunk);
    },
    run: () => chunks.reduce((sum, chunk) => sum + code(chunk), 0),
    check: (sum) => checkSum(sum, work, chunks),
  };
}

/** In memory of the pool, where the bytes are already. */
function inPlace(work: Work, pool: CodecPool, chunks: readonly BenchChunk[]): Contender<number> {
  let inputs: Uint8Array[] = [];
  return {
    name: `${work} ${pool.size}`,
    async prepare() {
      await warmUp(pool, chunks);
      inputs = chunks.map(({ raw, stored }) =>
        filled(pool, work === "encode" ? raw : stored, raw.byteLength)
      );
    },
    run: () => coded(work, pool, chunks, (_, i) => inputs[i] as Uint8Array, () => {}),
    check: (sum) => checkSum(sum, work, chunks),
  };
}

function copying(work: Work, pool: CodecPool, chunks: readonly BenchChunk[]): Contender<number> {
  const into = new Uint8Array(CHUNK_BYTES);
  const last = chunks.at(-1) as BenchChunk;
  const expected = work === "encode" ? last.stored : last.raw;
  return {
    name: `${work} copied ${pool.size}`,
    prepare: () => warmUp(pool, chunks),
    run: () =>
      coded(
        work,
        pool,
        chunks,
        ({ raw, stored }) => work === "encode" ? raw : stored,
        (bytes) => into.set(bytes),
      ),
    check(sum) {
      checkSum(sum, work, chunks);
      if (Buffer.compare(into.subarray(0, expected.byteLength), expected) !== 0) {
        throw new Error(`a pool of ${pool.size} did not ${work} the last chunk as expected`);
      }
    },
  };
}

/** Has all chunks coded, and sums up the stored checksums or the raw lengths: a thread has compared their checksums. */
function coded(
  work: Work,
  pool: CodecPool,
  chunks: readonly BenchChunk[],
  inputOf: (chunk: BenchChunk, index: number) => Uint8Array,
  take: (bytes: Uint8Array) => void,
): Promise<number> {
  if (work === "encode") {
    return inOrder(
      pool,
      chunks,
      (chunk, i) => pool.beginEncode(inputOf(chunk, i), chunk.sums.dtype, ["planes"]),
      ({ stored, storedCrc }) => {
        take(stored);
        return storedCrc;
      },
    );
  }
  return inOrder(
    pool,
    chunks,
    (chunk, i) => pool.beginDecode(inputOf(chunk, i), "planes", chunk.sums),
    ({ bytes }) => {
      take(bytes);
      return bytes.byteLength;
    },
  );
}

async function warmUp(pool: CodecPool, chunks: readonly BenchChunk[]): Promise<void> {
  const before = Array.from({ length: CHUNKS_BEFORE }, (_, i) => chunks[i % chunks.length] as BenchChunk);
  await coded("encode", pool, before, ({ raw }) => raw, () => {});
}

function filled(pool: CodecPool, bytes: Uint8Array, rawLength: number): Uint8Array {
  const memory = pool.lend(rawLength).bytes.subarray(0, bytes.byteLength);
  memory.set(bytes);
  return memory;
}

function checkSum(sum: number, work: Work, chunks: readonly BenchChunk[]): void {
  const all = chunks.reduce(
    (all, { sums }) => all + (work === "encode" ? sums.storedCrc : sums.rawLength),
    0,
  );
  if (sum !== all) throw new Error(`the results sum up to ${sum}, expected ${all}`);
}

/**
 * Posts all the work, with as much under way as the pool wants, and sums up what `take` makes of the results, in
 * order.
 */
async function inOrder<Result extends Lent>(
  pool: CodecPool,
  chunks: readonly BenchChunk[],
  begin: (chunk: BenchChunk, index: number) => PostedJob<Result>,
  take: (result: Result) => number,
): Promise<number> {
  const underWay: PostedJob<Result>[] = [];
  let sum = 0;
  const land = async (): Promise<void> => {
    const result = await (underWay.shift() as PostedJob<Result>).take();
    sum += take(result);
    result.release();
  };
  for (const [index, chunk] of chunks.entries()) {
    underWay.push(begin(chunk, index));
    if (underWay.length >= pool.depth) await land();
  }
  while (underWay.length > 0) await land();
  return sum;
}
