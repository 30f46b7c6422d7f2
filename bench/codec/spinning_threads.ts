/*
 * Threads that do nothing but count, to see how much two of them get done against one. The module is its own worker.
 */
import { isMainThread, parentPort, Worker } from "node:worker_threads";

const STEPS = 30_000_000;

/** Threads that share nothing, and use no memory. */
export class SpinningThreads {
  readonly #workers: readonly Worker[];

  private constructor(workers: readonly Worker[]) {
    this.#workers = workers;
  }

  /** Starts them, and waits until each has warmed up. */
  static async start(count: number): Promise<SpinningThreads> {
    const threads = new SpinningThreads(
      Array.from({ length: count }, () => new Worker(new URL(import.meta.url))),
    );
    await threads.spin(count);
    return threads;
  }

  /** Has the first `count` of them count, each as far as the others. */
  async spin(count: number): Promise<number> {
    const answers = this.#workers.slice(0, count).map((worker) =>
      new Promise<number>((resolve) => {
        worker.once("message", resolve);
        worker.postMessage(STEPS);
      })
    );
    return (await Promise.all(answers)).length;
  }

  close(): void {
    for (const worker of this.#workers) void worker.terminate();
  }
}

function count(steps: number): number {
  let state = 1;
  for (let i = 0; i < steps; i++) state = (Math.imul(state, 1664525) + 1013904223) | 0;
  return state;
}

if (!isMainThread) parentPort?.on("message", (steps: number) => parentPort?.postMessage(count(steps)));
