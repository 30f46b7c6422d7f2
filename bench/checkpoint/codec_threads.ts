/*
 * Threads that encode and decode chunks of the state and do nothing else, to see how fast the codec is on both cores.
 * The module is its own worker.
 */
import { once } from "node:events";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { codecByName } from "../../src/container/codec/table.ts";
import type { BenchState } from "./state.ts";

const CHUNK_BYTES = 1 << 20;
const THREADS = 2;
/** One chunk of so many is in the sample. */
const EVERY = 8;

type Work = "encode" | "decode";

/** Both cores at the codec `planes`, with a sample of the state. */
export class CodecThreads {
  /** How many times as many bytes the state has as the sample. */
  readonly scale: number;
  readonly #workers: readonly Worker[];

  private constructor(workers: readonly Worker[], scale: number) {
    this.#workers = workers;
    this.scale = scale;
  }

  /** Starts the threads, each with its half of a sample of the state. */
  static async start({ bytes }: BenchState): Promise<CodecThreads> {
    const samples = Array.from({ length: THREADS }, (_, thread) => sampleOf(bytes, thread));
    const sampled = samples.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const workers = samples.map((sample) => new Worker(new URL(import.meta.url), { workerData: { sample } }));
    const threads = new CodecThreads(workers, bytes.byteLength / sampled);
    await threads.run("encode");
    await threads.run("decode");
    return threads;
  }

  /** Has every thread encode or decode its half. */
  async run(work: Work): Promise<void> {
    await Promise.all(this.#workers.map(async (worker) => {
      const answer = once(worker, "message");
      worker.postMessage(work);
      await answer;
    }));
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}

/** Every eighth chunk of those that are one thread's. */
function sampleOf(bytes: Uint8Array, thread: number): Uint8Array {
  const starts: number[] = [];
  for (let chunk = thread * EVERY / THREADS; (chunk + 1) * CHUNK_BYTES <= bytes.byteLength; chunk += EVERY) {
    starts.push(chunk * CHUNK_BYTES);
  }
  const sample = new Uint8Array(starts.length * CHUNK_BYTES);
  starts.forEach((start, index) =>
    sample.set(bytes.subarray(start, start + CHUNK_BYTES), index * CHUNK_BYTES)
  );
  return sample;
}

function serve(sample: Uint8Array): void {
  const planes = codecByName("planes");
  const into = new Uint8Array(CHUNK_BYTES);
  const chunks = Array.from(
    { length: sample.byteLength / CHUNK_BYTES },
    (_, index) => sample.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES),
  );
  const stored = chunks.map((chunk) => planes.encode(chunk, "f32")?.slice());
  parentPort?.on("message", (work: Work) => {
    chunks.forEach((chunk, index) => {
      const known = stored[index];
      if (work === "encode") planes.encode(chunk, "f32", into);
      else if (known !== undefined) planes.decode(known, chunk.byteLength, "f32", into);
    });
    parentPort?.postMessage(work);
  });
}

if (!isMainThread) serve((workerData as { sample: Uint8Array }).sample);
