import { CairnError } from "../../base/errors.ts";
import { nodeBuiltin } from "../../base/node_builtin.ts";
import type { CodecAnswer, CodecJob } from "./codec_job.ts";

/** A worker of a browser, Deno or Bun, or of `node:worker_threads`. */
export interface CodecThread {
  post(jobs: readonly CodecJob[], transfer: ArrayBuffer[]): void;
  close(): Promise<void>;
}

/** Is told what a thread does. */
export interface ThreadListeners {
  answered(answers: readonly CodecAnswer[]): void;
  /** The thread has died, or never began. */
  failed(error: Error): void;
}

/** Whether there are threads here. */
export function canStartThreads(): boolean {
  return typeof Worker === "function" || nodeBuiltin("node:worker_threads") !== undefined;
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
  worker.onmessage = (event: MessageEvent<readonly CodecAnswer[]>) => answered(event.data);
  worker.onerror = (event) => {
    event.preventDefault();
    failed(died(event.message));
  };
  // Bun says so when a worker ends by itself; the others have no such event, and no way for it to end without an error.
  worker.addEventListener("close", () => failed(died("it has ended")));
  return {
    post: (jobs, transfer) => worker.postMessage(jobs, transfer),
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
    post: (jobs, transfer) => worker.postMessage(jobs, transfer),
    close: async () => void await worker.terminate(),
  };
}

function died(why: string, cause?: unknown): CairnError {
  return new CairnError("closed", `A codec worker has failed: ${why}; open another CodecPool`, { cause });
}
