import { CairnError } from "../base/errors.ts";
import { nodeBuiltin } from "../base/node_builtin.ts";
import { hostError } from "./host_error.ts";
import type { Synced } from "./open_file.ts";

type FileSystem = typeof import("node:fs");
type WorkerThreads = typeof import("node:worker_threads");
type Worker = import("node:worker_threads").Worker;

let shared: WriteThread | undefined;

/** A file that a thread has open. */
export interface ThreadFile {
  /** What the system knows it by. */
  readonly identity: { readonly ino: number; readonly dev: number };
  /** Milliseconds that the thread was at its writes and its syncs so far. */
  readonly times: { readonly writeMs: number; readonly syncMs: number };
  /** Writes a part of `bytes`, which lie in the memory that the file was opened with, and says how many. */
  write(bytes: Uint8Array, position: number): Promise<number>;
  /** Resolves when what was asked to be written before is durable. A failed sync is final. */
  sync(synced: Synced): Promise<void>;
  close(): Promise<void>;
}

/** What the thread calls of `node:fs`. */
export interface FileCalls {
  openSync(path: string, flags: number, mode?: number): number;
  fstatSync(fd: number): { readonly ino: number; readonly dev: number };
  writeSync(fd: number, bytes: Uint8Array, at: number, length: number, position: number): number;
  fsyncSync(fd: number): void;
  fdatasyncSync(fd: number): void;
  closeSync(fd: number): void;
}

/** What the thread is asked for. `at` is an offset in the memory of the file. */
type Request =
  | { readonly op: "open"; readonly path: string; readonly flags: number; readonly memory: ArrayBufferLike }
  | {
    readonly op: "write";
    readonly fd: number;
    readonly at: number;
    readonly length: number;
    readonly position: number;
  }
  | { readonly op: "sync"; readonly fd: number; readonly synced: Synced }
  | { readonly op: "close"; readonly fd: number };

/**
 * `values` are of an open file the descriptor, `ino` and `dev`; of a write the count and milliseconds; of a sync
 * milliseconds.
 */
interface Answer {
  readonly id: number;
  readonly values?: readonly number[];
  readonly error?: { readonly code: string; readonly message: string };
}

interface Waiting {
  resolve(values: readonly number[]): void;
  reject(error: unknown): void;
}

/**
 * Writes files on a thread of its own. What runtimes call an asynchronous write is one only in part: Deno's holds the
 * thread that asks until the disk has taken the bytes, so that nothing goes on beside a save, and Bun's takes three
 * times as long to ask for as a message.
 */
export class WriteThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;
  #failure: unknown;

  private constructor(worker: Worker) {
    this.#worker = worker;
    worker.on("message", (answer: Answer) => this.#settle(answer));
    worker.on("error", (error) => this.#fail(error));
    worker.on("exit", () => this.#fail(new Error("the thread that writes has ended")));
    // It holds up the end of the process only while something is asked of it.
    worker.unref();
  }

  /** Whether there are threads here, and memory that they share. */
  static isPossible(): boolean {
    return typeof SharedArrayBuffer === "function" && nodeBuiltin("node:worker_threads") !== undefined;
  }

  /**
   * Starts a thread. @throws CairnError `unsupported` where there are none.
   *
   * @param callsOf Gives the file calls that the thread is to make, by those of the system: a bench slows them down,
   * a test has them fail. It is sent there as text, and sees nothing but what it is given.
   */
  static start(callsOf: (fs: FileSystem) => FileCalls = (fs) => fs): WriteThread {
    const threads = nodeBuiltin("node:worker_threads");
    if (threads === undefined) {
      throw new CairnError("unsupported", "This runtime has no threads (node:worker_threads)");
    }
    // As a text, since the module may have been loaded from anywhere, and a worker's only from a file.
    const code = `(${serve})((${callsOf})(process.getBuiltinModule("node:fs")), ` +
      `process.getBuiltinModule("node:worker_threads"))`;
    return new WriteThread(new threads.Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`)));
  }

  /** The one thread of this process, which is started when it is needed; another one when it has died. */
  static shared(): WriteThread {
    if (shared === undefined || shared.#failure !== undefined) shared = WriteThread.start();
    return shared;
  }

  /** Has this thread be the one of the process. */
  share(): void {
    shared = this;
  }

  /** Opens a file for writing from `memory`, which has to be shared. @throws the host's error. */
  async open(path: string, flags: number, memory: ArrayBufferLike): Promise<ThreadFile> {
    const [fd = -1, ino = -1, dev = -1] = await this.#ask({ op: "open", path, flags, memory });
    const times = { writeMs: 0, syncMs: 0 };
    return {
      identity: { ino, dev },
      times,
      write: async ({ byteOffset, byteLength }, position) => {
        const [count = 0, ms = 0] = await this.#ask({
          op: "write",
          fd,
          at: byteOffset,
          length: byteLength,
          position,
        });
        times.writeMs += ms;
        return count;
      },
      sync: async (synced) => {
        const [ms = 0] = await this.#ask({ op: "sync", fd, synced });
        times.syncMs += ms;
      },
      close: async () => void await this.#ask({ op: "close", fd }),
    };
  }

  /** Ends the thread. What is still asked of it is never answered. */
  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  async #ask(request: Request): Promise<readonly number[]> {
    if (this.#failure !== undefined) throw this.#failure;
    const id = this.#nextId++;
    this.#worker.ref();
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject });
        this.#worker.postMessage({ id, request });
      });
    } finally {
      if (this.#waiting.size === 0) this.#worker.unref();
    }
  }

  #settle({ id, values = [], error }: Answer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(values);
    else waiting?.reject(Object.assign(hostError(error.code), { message: error.message }));
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

/** What runs on the thread. It is sent there as text, and sees nothing but what it is given. */
function serve(fs: FileCalls, { parentPort }: WorkerThreads): void {
  const memories = new Map<number, Uint8Array>();
  const run = (request: Request): number[] => {
    if (request.op === "open") {
      const fd = fs.openSync(request.path, request.flags);
      memories.set(fd, new Uint8Array(request.memory));
      const { ino, dev } = fs.fstatSync(fd);
      return [fd, ino, dev];
    }
    if (request.op === "close") {
      memories.delete(request.fd);
      fs.closeSync(request.fd);
      return [];
    }
    // Timed here: an answer is heard only when the other thread has time for it.
    const start = performance.now();
    if (request.op === "sync") {
      if (request.synced === "all") fs.fsyncSync(request.fd);
      else fs.fdatasyncSync(request.fd);
      return [performance.now() - start];
    }
    const { fd, at, length, position } = request;
    const count = fs.writeSync(fd, memories.get(fd) ?? new Uint8Array(0), at, length, position);
    return [count, performance.now() - start];
  };
  parentPort?.on("message", ({ id, request }: { id: number; request: Request }) => {
    try {
      parentPort.postMessage({ id, values: run(request) });
    } catch (cause) {
      const { code = "", message = String(cause) } = cause as { code?: string; message?: string };
      parentPort.postMessage({ id, error: { code, message } });
    }
  });
}
