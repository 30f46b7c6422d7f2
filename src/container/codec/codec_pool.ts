import type { DType } from "../../base/dtype.ts";
import { CairnError, type CairnErrorCode } from "../../base/errors.ts";
import { nodeBuiltin } from "../../base/node_builtin.ts";
import type { EncodedChunk } from "./choose.ts";
import type { CodecName } from "./table.ts";

/** What a worker is asked for. Its bytes are transferred to it. */
export type CodecJob =
  | { id: number; raw: Uint8Array; dtype: DType; names: readonly CodecName[] }
  | { id: number; stored: Uint8Array; rawLength: number; dtype: DType; name: CodecName };

/** What it answers. */
export type CodecAnswer =
  | { id: number; encoded: EncodedChunk }
  | { id: number; raw: Uint8Array }
  | { id: number; failure: { code: CairnErrorCode | undefined; message: string } };

/** A worker of a browser, Deno or Bun, or of `node:worker_threads`. */
interface CodecWorker {
  post(job: CodecJob, transfer: ArrayBuffer[]): void;
  close(): Promise<void>;
}

interface Listeners {
  answered(answer: CodecAnswer): void;
  failed(error: Error): void;
}

interface Waiting {
  readonly worker: number;
  resolve(answer: CodecAnswer): void;
  reject(error: Error): void;
}

/**
 * Encodes and decodes chunks on other threads. Bytes go there and back by transfer, without a copy. Whoever
 * opens a pool closes it: until then its threads may keep the process alive.
 */
export class CodecPool {
  readonly #workers: readonly CodecWorker[];
  readonly #load: number[];
  readonly #waiting: Map<number, Waiting> = new Map();
  #nextId = 0;
  #failure: Error | undefined;

  private constructor(count: number) {
    const listeners: Listeners = {
      answered: (answer) => this.#settle(answer),
      failed: (error) => this.#fail(error),
    };
    this.#workers = Array.from({ length: count }, () => startWorker(listeners));
    this.#load = this.#workers.map(() => 0);
  }

  /**
   * Starts `workers` threads, which takes some tens of milliseconds, or gives `undefined` where there are
   * none. Throws a `RangeError` unless it is an integer from 1 to 64.
   */
  static open(workers: number): CodecPool | undefined {
    if (!Number.isInteger(workers) || workers < 1 || workers > 64) {
      throw new RangeError(`A pool of ${workers} workers cannot be; expected 1 to 64`);
    }
    const canStart = typeof Worker === "function" || nodeBuiltin("node:worker_threads") !== undefined;
    return canStart ? new CodecPool(workers) : undefined;
  }

  /** Number of threads. */
  get size(): number {
    return this.#workers.length;
  }

  /**
   * The chunk in the smallest of these codecs and of raw. Takes `raw` over, with all of its buffer: it is of
   * length 0 afterwards.
   */
  async encode(
    raw: Uint8Array<ArrayBuffer>,
    dtype: DType,
    names: readonly CodecName[],
  ): Promise<EncodedChunk> {
    const answer = await this.#ask((id) => ({ id, raw, dtype, names }), raw.buffer);
    if ("encoded" in answer) return answer.encoded;
    throw new CairnError("closed", "A codec worker answered something else");
  }

  /** The raw bytes of a chunk, as `Codec.decode` gives them. Takes `stored` over, with all of its buffer. */
  async decode(
    stored: Uint8Array<ArrayBuffer>,
    rawLength: number,
    dtype: DType,
    name: CodecName,
  ): Promise<Uint8Array> {
    const answer = await this.#ask((id) => ({ id, stored, rawLength, dtype, name }), stored.buffer);
    if ("raw" in answer) return answer.raw;
    throw new CairnError("closed", "A codec worker answered something else");
  }

  /** Ends the threads. What is still under way rejects with `CairnError("closed")`. */
  async close(): Promise<void> {
    this.#fail(new CairnError("closed", "This CodecPool is closed; open another"));
    await Promise.all(this.#workers.map((worker) => worker.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #ask(jobOf: (id: number) => CodecJob, buffer: ArrayBuffer): Promise<CodecAnswer> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) throw this.#failure;
      const id = this.#nextId++;
      const worker = this.#load.indexOf(Math.min(...this.#load));
      (this.#workers[worker] as CodecWorker).post(jobOf(id), [buffer]);
      this.#load[worker] = (this.#load[worker] as number) + 1;
      this.#waiting.set(id, { worker, resolve, reject });
    });
  }

  #settle(answer: CodecAnswer): void {
    const waiting = this.#waiting.get(answer.id);
    if (waiting === undefined) return;
    this.#waiting.delete(answer.id);
    this.#load[waiting.worker] = (this.#load[waiting.worker] as number) - 1;
    if (!("failure" in answer)) waiting.resolve(answer);
    else waiting.reject(errorOf(answer.failure));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

function errorOf({ code, message }: { code: CairnErrorCode | undefined; message: string }): Error {
  return code === undefined ? new Error(message) : new CairnError(code, message);
}

/** The worker's module lies beside this one, as TypeScript in the sources and as JavaScript in a build. */
function workerUrl(): URL {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return new URL(`./codec_worker.${extension}`, import.meta.url);
}

function startWorker({ answered, failed }: Listeners): CodecWorker {
  if (typeof Worker === "function") {
    const worker = new Worker(workerUrl(), { type: "module" });
    worker.onmessage = (event: MessageEvent<CodecAnswer>) => answered(event.data);
    worker.onerror = (event) => {
      event.preventDefault();
      failed(new CairnError("closed", `A codec worker has failed: ${event.message}`));
    };
    return {
      post: (job, transfer) => worker.postMessage(job, transfer),
      close: () => Promise.resolve(worker.terminate()),
    };
  }
  const threads = nodeBuiltin("node:worker_threads");
  if (threads === undefined) throw new CairnError("unsupported", "This runtime has no workers");
  const worker = new threads.Worker(workerUrl());
  worker.on("message", answered);
  worker.on("error", (cause) => failed(new CairnError("closed", "A codec worker has failed", { cause })));
  return {
    post: (job, transfer) => worker.postMessage(job, transfer),
    close: async () => void await worker.terminate(),
  };
}
