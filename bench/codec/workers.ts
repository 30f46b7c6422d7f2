import { Buffer } from "node:buffer";
import { crc32 } from "../../src/base/crc32/crc32.ts";
import { CodecPool, type Lent } from "../../src/container/codec/codec_pool.ts";
import type { ChunkSums } from "../../src/container/codec/decode_checked.ts";
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

// So many chunks in a round that starting and ending makes no difference.
const CHUNKS = 64;
// So many before each: a thread that was just woken is put on the processor of the one that woke it, and is moved to
// another only when it has been busy for some time.
const CHUNKS_BEFORE = 256;
const SPINS: readonly Spin[] = ["count", "encode", "decode"];

/**
 * How much faster two workers are than one, in encoding and decoding chunks in shared memory, as after reading them
 * there. Printed beside it: the same where this thread copies each chunk there and its result back, as a container's
 * writer does; and how much faster two threads are than one where they share nothing, which is the most that a pool can
 * reach.
 */
export async function compareWorkers(sample: Sample, rounds: number): Promise<WorkerRow[]> {
  const pools = [CodecPool.open(1), CodecPool.open(2)].filter((pool) => pool !== undefined);
  const threads = await SpinningThreads.start(2, {
    raw: sample.chunks[0] ?? new Uint8Array(4),
    dtype: sample.dtype,
  });
  const chunks = chunksOf(sample);
  try {
    const contenders = [
      ...pools.flatMap((pool) => [
        encoding(pool, chunks),
        decoding(pool, chunks),
        copying(pool, chunks, "encode"),
        copying(pool, chunks, "decode"),
      ]),
      ...SPINS.flatMap((spin) =>
        [1, 2].map((count): Contender<number> => ({
          name: `threads ${spin} ${count}`,
          run: () => threads.spin(count, spin),
          check: () => {},
        }))
      ),
    ];
    const times = await interleavedWithCpu(contenders, rounds);
    const timesOf = (name: string): Measured => times.get(name) as Measured;
    // Two of these threads do twice the work of one.
    const alone = (spin: Spin): number =>
      2 * ratioOf(timesOf(`threads ${spin} 1`).ms, timesOf(`threads ${spin} 2`).ms).measured;
    for (const spin of SPINS) {
      console.log(`two threads that share nothing and ${spin} do ${alone(spin).toFixed(2)}x the work of one`);
    }
    return (["encode", "decode"] as const).map((work): WorkerRow => {
      for (const kind of [work, `${work} copied`]) {
        const [one, two] = [timesOf(`${kind} 1`), timesOf(`${kind} 2`)];
        const { measured } = ratioOf(one.ms, two.ms);
        console.log(`${kind}: one worker ${described(one)}; two ${described(two)}: ${measured.toFixed(2)}x`);
      }
      const [one, two] = [timesOf(`${work} 1`), timesOf(`${work} 2`)];
      return {
        name: `two workers against one, ${work}`,
        ...ratioOf(one.ms, two.ms),
        ceiling: alone("count"),
        alone: alone(work),
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

function encoding(pool: CodecPool, chunks: readonly BenchChunk[]): Contender<number> {
  let raws: Uint8Array[] = [];
  return {
    name: `encode ${pool.size}`,
    async prepare() {
      raws = chunks.map(({ raw }) => filled(pool, raw, raw.byteLength));
      await warmUp(pool, chunks);
    },
    run: () =>
      inOrder(
        pool,
        chunks,
        ({ sums }, i) => pool.encode(raws[i] as Uint8Array, sums.dtype, ["planes"]),
        ({ storedCrc }) => storedCrc,
      ),
    check(sum) {
      checkSum(sum, chunks.map(({ sums }) => sums.storedCrc));
    },
  };
}

function decoding(pool: CodecPool, chunks: readonly BenchChunk[]): Contender<number> {
  let all: Uint8Array[] = [];
  return {
    name: `decode ${pool.size}`,
    async prepare() {
      all = chunks.map(({ stored, raw }) => filled(pool, stored, raw.byteLength));
      await warmUp(pool, chunks);
    },
    run: () =>
      inOrder(pool, chunks, ({ sums }, i) => pool.decode(all[i] as Uint8Array, "planes", sums), () => 1),
    check(count) {
      // The worker has compared the checksum of each.
      checkSum(count, chunks.map(() => 1));
    },
  };
}

function copying(
  pool: CodecPool,
  chunks: readonly BenchChunk[],
  work: "encode" | "decode",
): Contender<number> {
  const into = new Uint8Array(CHUNK_BYTES);
  const copied = (bytes: Uint8Array): number => {
    into.set(bytes);
    return 1;
  };
  const last = chunks.at(-1) as BenchChunk;
  const expected = work === "encode" ? last.stored : last.raw;
  return {
    name: `${work} copied ${pool.size}`,
    prepare: () => warmUp(pool, chunks),
    run: () =>
      work === "encode"
        ? inOrder(
          pool,
          chunks,
          ({ raw, sums }) => pool.encode(raw, sums.dtype, ["planes"]),
          ({ stored }) => copied(stored),
        )
        : inOrder(
          pool,
          chunks,
          ({ stored, sums }) => pool.decode(stored, "planes", sums),
          ({ bytes }) => copied(bytes),
        ),
    check() {
      if (Buffer.compare(into.subarray(0, expected.byteLength), expected) !== 0) {
        throw new Error(`a pool of ${pool.size} did not ${work} the last chunk as expected`);
      }
    },
  };
}

async function warmUp(pool: CodecPool, chunks: readonly BenchChunk[]): Promise<void> {
  const before = Array.from({ length: CHUNKS_BEFORE }, (_, i) => chunks[i % chunks.length] as BenchChunk);
  await inOrder(pool, before, ({ raw, sums }) => pool.encode(raw, sums.dtype, ["planes"]), () => 1);
}

function filled(pool: CodecPool, bytes: Uint8Array, rawLength: number): Uint8Array {
  const memory = pool.lend(rawLength).bytes.subarray(0, bytes.byteLength);
  memory.set(bytes);
  return memory;
}

function checkSum(sum: number, expected: readonly number[]): void {
  const all = expected.reduce((a, b) => a + b, 0);
  if (sum !== all) throw new Error(`a pool's results sum up to ${sum}, expected ${all}`);
}

/**
 * Hands out all the work, with as much under way as the pool wants, and sums up what `take` makes of the results, in
 * order.
 */
async function inOrder<Result extends Lent>(
  pool: CodecPool,
  chunks: readonly BenchChunk[],
  begin: (chunk: BenchChunk, index: number) => Promise<Result>,
  take: (result: Result) => number,
): Promise<number> {
  const underWay: Promise<Result>[] = [];
  let sum = 0;
  const land = async (): Promise<void> => {
    const result = await (underWay.shift() as Promise<Result>);
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
