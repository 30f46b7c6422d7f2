/*
 * Threads that share nothing, to see how much two of them get done against one: they count, or encode and decode a
 * chunk of their own. The module is its own worker.
 */
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { codecByName } from "../../src/container/codec/table.ts";
import type { DType } from "../../src/base/dtype.ts";

const STEPS = 30_000_000;
const CHUNKS = 32;

/** What a thread does. Counting uses no memory, and hardly more of a core than one instruction at a time. */
export type Spin = "count" | "encode" | "decode";

interface Chunk {
  readonly raw: Uint8Array;
  readonly dtype: DType;
}

/** Threads that share nothing. */
export class SpinningThreads {
  readonly #workers: readonly Worker[];

  private constructor(workers: readonly Worker[]) {
    this.#workers = workers;
  }

  /** Starts them, each with a copy of the chunk, and waits until each has warmed up. */
  static async start(count: number, chunk: Chunk): Promise<SpinningThreads> {
    const threads = new SpinningThreads(
      Array.from({ length: count }, () => new Worker(new URL(import.meta.url), { workerData: chunk })),
    );
    for (const spin of ["count", "encode", "decode"] as const) await threads.spin(count, spin);
    return threads;
  }

  /** Has the first `count` of them do something, each as much as the others. */
  async spin(count: number, spin: Spin): Promise<number> {
    const answers = this.#workers.slice(0, count).map((worker) =>
      new Promise<number>((resolve) => {
        worker.once("message", resolve);
        worker.postMessage(spin);
      })
    );
    return (await Promise.all(answers)).length;
  }

  close(): void {
    for (const worker of this.#workers) void worker.terminate();
  }
}

function count(): number {
  let state = 1;
  for (let i = 0; i < STEPS; i++) state = (Math.imul(state, 1664525) + 1013904223) | 0;
  return state;
}

function serve({ raw, dtype }: Chunk): void {
  const planes = codecByName("planes");
  const into = new Uint8Array(raw.byteLength);
  const stored = (planes.encode(raw, dtype) ?? raw).slice();
  parentPort?.on("message", (spin: Spin) => {
    if (spin === "count") count();
    for (let i = 0; i < CHUNKS && spin !== "count"; i++) {
      if (spin === "encode") planes.encode(raw, dtype, into);
      else planes.decode(stored, raw.byteLength, dtype, into);
    }
    parentPort?.postMessage(1);
  });
}

if (!isMainThread) serve(workerData as Chunk);
