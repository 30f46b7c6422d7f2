import { CairnError } from "../base/errors.ts";
import { nodeBuiltin } from "../base/node_builtin.ts";
import { foreignOfRuntime } from "./foreign.ts";
import { LIBC_FUNCTIONS } from "./libc.ts";
import { mpiSignatures } from "./mpi_functions.ts";
import { makeHeads } from "./thread/heads.ts";
import { makePost } from "./thread/post.ts";
import { type Command, MESSAGE, type Report, SIGNAL, STAGE, type ThreadStart } from "./thread/protocol.ts";
import { makeRequests } from "./thread/requests.ts";
import { serve, type ThreadParts, workThrough } from "./thread/serve.ts";

type WorkerThreads = typeof import("node:worker_threads");
type MessagePort = import("node:worker_threads").MessagePort;

/** What is sent to the thread as text. Each sees nothing but what it is given. */
const FUNCTIONS = { mpiSignatures, makeRequests, makeHeads, makePost, workThrough };
const VALUES = { LIBC_FUNCTIONS, MESSAGE, SIGNAL, STAGE };

/**
 * The thread that calls MPI: all of MPI's calls hold the thread that makes them, and it goes on with messages only
 * while it is called.
 */
export class MpiThread {
  readonly #port: MessagePort;
  readonly #signal: Int32Array;
  #uses = 0;
  #waiting = 0;

  private constructor(port: MessagePort, signal: Int32Array, hear: (report: Report) => void) {
    this.#port = port;
    this.#signal = signal;
    port.on("message", hear);
    port.unref();
  }

  /** @throws CairnError `unsupported` where there are no threads. */
  static start(start: Omit<ThreadStart, "signal">, hear: (report: Report) => void): MpiThread {
    const threads = nodeBuiltin("node:worker_threads");
    if (threads === undefined) {
      throw new CairnError(
        "unsupported",
        "This runtime has no threads (node:worker_threads), which MPI needs",
      );
    }
    // As a text, since the module may have been loaded from anywhere, and a worker's only from a file.
    const functions = Object.entries({ ...FUNCTIONS, openForeign: foreignOfRuntime() });
    const parts = functions.map(([name, code]) => `${JSON.stringify(name)}: ${code}`).join(",\n");
    const code = `(${listen})(process.getBuiltinModule("node:worker_threads"), ${serve}, ` +
      `{ ...${JSON.stringify(VALUES)}, ${parts} })`;
    const worker = new threads.Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`));
    const { port1, port2 } = new threads.MessageChannel();
    const signal = new SharedArrayBuffer(4 * SIGNAL.length);
    worker.on("error", (error) => hear({ op: "failed", message: String(error) }));
    worker.postMessage({ port: port2, start: { ...start, signal } }, [port2]);
    worker.unref();
    return new MpiThread(port1, new Int32Array(signal), hear);
  }

  /** How far it is: one of `STAGE`. */
  get stage(): number {
    return Atomics.load(this.#signal, SIGNAL.stage);
  }

  /** Holds this thread until it has left MPI, or the time is up. */
  waitUntilLeft(atMostMs: number): void {
    const { stage } = this;
    if (stage !== STAGE.left) Atomics.wait(this.#signal, SIGNAL.stage, stage, atMostMs);
  }

  ask(command: Command): void {
    this.#port.postMessage(command);
    this.#wake();
  }

  /** The process stays alive for what is awaited of the thread. */
  async whileAlive<T>(work: Promise<T>): Promise<T> {
    if (this.#uses++ === 0) this.#port.ref();
    try {
      return await work;
    } finally {
      if (--this.#uses === 0) this.#port.unref();
    }
  }

  /** Has the thread look often, as somebody waits for a message. */
  async whileAwaited<T>(work: Promise<T>): Promise<T> {
    Atomics.store(this.#signal, SIGNAL.underWay, ++this.#waiting);
    if (this.#waiting === 1) this.#wake();
    try {
      return await work;
    } finally {
      Atomics.store(this.#signal, SIGNAL.underWay, --this.#waiting);
    }
  }

  #wake(): void {
    Atomics.add(this.#signal, SIGNAL.asked, 1);
    Atomics.notify(this.#signal, SIGNAL.asked);
  }
}

/** What the thread begins with. It is sent there as text, and sees nothing but what it is given. */
function listen(
  { parentPort, receiveMessageOnPort }: WorkerThreads,
  work: typeof serve,
  parts: ThreadParts,
): void {
  parentPort?.once("message", ({ port, start }: { port: MessagePort; start: ThreadStart }) => {
    const postMessage = (report: Report, transfer: readonly ArrayBuffer[] = []): void =>
      port.postMessage(report, [...transfer]);
    work({ postMessage, next: () => receiveMessageOnPort(port)?.message }, start, parts);
  });
}
