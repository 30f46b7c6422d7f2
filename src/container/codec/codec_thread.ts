import { CairnError } from "../../base/errors.ts";
import { nodeBuiltin } from "../../base/node_builtin.ts";

/**
 * What a thread is told: the board that it takes jobs from, its number there, and compiled code; then the memory of
 * each slot.
 */
export type ThreadMessage =
  | {
    readonly kind: "board";
    readonly board: SharedArrayBuffer;
    readonly thread: number;
    readonly kernels?: WebAssembly.Module | undefined;
  }
  | {
    readonly kind: "memory";
    readonly slot: number;
    readonly number: number;
    readonly memory: SharedArrayBuffer;
  };

/** A worker of a browser, Deno or Bun, or of `node:worker_threads`. */
export interface CodecThread {
  post(message: ThreadMessage): void;
  close(): Promise<void>;
}

/** Is told what a thread does. */
export interface ThreadListeners {
  /** A job is done, where that was asked for. */
  answered(): void;
  /** The thread has died, or never began. */
  failed(error: Error): void;
}

/** Whether there are threads here, and memory that they share: in a browser only for pages that are isolated. */
export function canStartThreads(): boolean {
  return typeof SharedArrayBuffer === "function" &&
    (typeof Worker === "function" || nodeBuiltin("node:worker_threads") !== undefined);
}

/** Starts a thread with the codecs. `url` is for tests: a module that takes jobs and answers. */
export function startThread(listeners: ThreadListeners, url: URL = workerUrl()): CodecThread {
  return typeof Worker === "function" ? startWebWorker(listeners, url) : startNodeWorker(listeners, url);
}

/** The worker's module lies beside this one, as TypeScript in the sources and as JavaScript in a build. */
function workerUrl(): URL {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return new URL(`./codec_worker.${extension}`, import.meta.url);
}

function startWebWorker({ answered, failed }: ThreadListeners, url: URL): CodecThread {
  const worker = new Worker(url, { type: "module" });
  worker.onmessage = answered;
  worker.onerror = (event) => {
    event.preventDefault();
    failed(died(event.message));
  };
  // Bun says so when a worker ends by itself; the others have no such event, and no way for it to end without an error.
  worker.addEventListener("close", () => failed(died("it has ended")));
  return {
    post: (message) => worker.postMessage(message),
    close: () => Promise.resolve(worker.terminate()),
  };
}

function startNodeWorker({ answered, failed }: ThreadListeners, url: URL): CodecThread {
  const threads = nodeBuiltin("node:worker_threads");
  if (threads === undefined) throw new CairnError("unsupported", "This runtime has no workers");
  const worker = new threads.Worker(url);
  worker.on("message", answered);
  worker.on("error", (cause) => failed(died(cause instanceof Error ? cause.message : String(cause), cause)));
  worker.on("exit", () => failed(died("it has ended")));
  return {
    post: (message) => worker.postMessage(message),
    close: async () => void await worker.terminate(),
  };
}

function died(why: string, cause?: unknown): CairnError {
  return new CairnError("closed", `A codec worker has failed: ${why}`, { cause });
}
