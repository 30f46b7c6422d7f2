import type { DType } from "../../base/dtype.ts";
import { CairnError, type CairnErrorCode } from "../../base/errors.ts";
import { allocate } from "../../base/allocate.ts";
import type { EncodedChunk } from "./choose.ts";
import type { CodecAnswer, CodecJob, CodecWork, JobOutput } from "./codec_job.ts";
import { canStartThreads, type CodecThread, startThread, type ThreadListeners } from "./codec_thread.ts";
import type { ChunkSums } from "./decode_checked.ts";
import { type SharedBuffer, SharedBuffers } from "./shared_buffers.ts";
import type { CodecName } from "./table.ts";

/** Sending a chunk with fewer raw bytes to another thread takes longer than coding it. */
export const MIN_POOL_BYTES: number = 64 * 1024;

// Half of them are sent in one message while the thread is at the other half.
const JOBS_A_THREAD = 4;

/** Bytes of a pool, which are the borrower's until it calls `release`. They may be in shared memory. */
export interface Lent {
  /**
   * Gives the memory back for the next job. Calling it twice is fine; what is never released is memory that the pool
   * never has again.
   */
  release(): void;
}

/** An encoded chunk whose `stored` is lent. */
export interface LentChunk extends EncodedChunk, Lent {}

/** Raw bytes that are lent. */
export interface LentBytes extends Lent {
  /** The raw bytes. They may be changed until they are released. */
  readonly bytes: Uint8Array;
}

/** A thread, and what it has to do. */
interface PoolThread {
  readonly thread: CodecThread;
  /** Absent where there is no shared memory: bytes are transferred then. */
  readonly buffers: SharedBuffers | undefined;
  /** Jobs that wait to be sent. */
  readonly unsent: CodecJob[];
  /** Jobs that were sent and not answered. */
  sentCount: number;
  /** Rooms that were lent for the input of a job to come. */
  lentCount: number;
}

/** A buffer for the input of a job to come. */
interface LentBuffer {
  readonly thread: PoolThread;
  readonly buffers: SharedBuffers;
  readonly buffer: SharedBuffer;
}

interface Waiting {
  readonly thread: PoolThread;
  readonly buffer: SharedBuffer | undefined;
  resolve(answer: SuccessfulAnswer): void;
  reject(error: Error): void;
}

type SuccessfulAnswer = Exclude<CodecAnswer, { failure: unknown }>;

/**
 * Encodes and decodes chunks on other threads. Bytes go there by one copy, into memory that both threads see, and are
 * lent back from there without another; where a runtime has no shared memory they are transferred. What is written to
 * memory from {@link CodecPool.lend} saves the copy. Close a pool that you opened: until then its threads may keep
 * the process alive. When one thread dies, all that is under way and all that comes later rejects with
 * `CairnError("closed")`.
 */
export class CodecPool {
  readonly #threads: readonly PoolThread[];
  readonly #waiting: Map<number, Waiting> = new Map();
  readonly #lent: Map<ArrayBufferLike, LentBuffer> = new Map();
  #nextId = 0;
  #failure: Error | undefined;

  private constructor(count: number, start: (listeners: ThreadListeners) => CodecThread) {
    const listeners: ThreadListeners = {
      answered: (answers) => answers.forEach((answer) => this.#settle(answer)),
      failed: (error) => this.#fail(error),
    };
    this.#threads = Array.from({ length: count }, () => ({
      thread: start(listeners),
      buffers: SharedBuffers.areSupported() ? new SharedBuffers() : undefined,
      unsent: [],
      sentCount: 0,
      lentCount: 0,
    }));
  }

  /**
   * Starts `workers` threads, which takes some tens of milliseconds, or gives `undefined` where there are
   * none. Throws a `RangeError` unless it is an integer from 1 to 64.
   */
  static open(workers: number): CodecPool | undefined {
    return CodecPool.openWith(workers, (listeners) => startThread(listeners));
  }

  /**
   * {@link open} with threads of another kind, for tests.
   *
   * @internal
   */
  static openWith(
    workers: number,
    start: (listeners: ThreadListeners) => CodecThread,
  ): CodecPool | undefined {
    if (!Number.isInteger(workers) || workers < 1 || workers > 64) {
      throw new RangeError(`workers is ${workers}, expected 1 to 64`);
    }
    return canStartThreads() ? new CodecPool(workers, start) : undefined;
  }

  /** Number of threads. */
  get size(): number {
    return this.#threads.length;
  }

  /** Chunks that are best under way at once: fewer leave threads waiting, more take memory and no less time. */
  get depth(): number {
    return JOBS_A_THREAD * this.#threads.length;
  }

  /**
   * Memory for up to `byteLength` bytes of a chunk, stored or raw, that a thread sees too. What is written to its
   * beginning is encoded or decoded without a copy: that call takes the memory over. Release it if you do not use it.
   * Where no memory is shared it is like any other. Throws `CairnError("out_of_memory")`.
   */
  lend(byteLength: number): LentBytes {
    const thread = this.#leastLoaded();
    const { buffers } = thread;
    if (buffers === undefined) return { bytes: allocate(byteLength), release: () => {} };
    const lent: LentBuffer = { thread, buffers, buffer: buffers.take(byteLength) };
    const { memory } = lent.buffer;
    this.#lent.set(memory, lent);
    thread.lentCount++;
    return {
      bytes: new Uint8Array(memory, 0, byteLength),
      release: () => {
        // It may have been taken over, and even lent again.
        if (this.#lent.get(memory) === lent) buffers.giveBack(this.#takeOver(lent));
      },
    };
  }

  /**
   * The chunk in the smallest of these codecs and of raw. Unless `raw` is lent it is copied before this returns.
   * Rejects with what a codec throws, with `CairnError("out_of_memory")`, or with `closed`.
   */
  async encode(raw: Uint8Array, dtype: DType, names: readonly CodecName[]): Promise<LentChunk> {
    const { encoded, bytes, release } = await this.#ask(raw, raw.byteLength, {
      kind: "encode",
      dtype,
      names,
    });
    if (encoded !== undefined) return { ...encoded, stored: bytes, release };
    throw new CairnError("closed", "A codec worker gave an unexpected answer");
  }

  /**
   * The raw bytes of a chunk by the codec `name`, with everything checked that `decodeChecked` checks, and its errors.
   * Unless `stored` is lent it is copied before this returns.
   */
  async decode(stored: Uint8Array, name: CodecName, chunk: ChunkSums): Promise<LentBytes> {
    const { dtype, rawLength, storedCrc, rawCrc } = chunk;
    const outputBytes = Math.max(stored.byteLength, rawLength);
    const { bytes, release } = await this.#ask(stored, outputBytes, {
      kind: "decode",
      name,
      chunk: { dtype, rawLength, storedCrc, rawCrc },
    });
    return { bytes, release };
  }

  /** Ends the threads. What is still under way rejects with `CairnError("closed")`. */
  async close(): Promise<void> {
    this.#fail(new CairnError("closed", "This CodecPool is closed; open another"));
    await Promise.all(this.#threads.map(({ thread }) => thread.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Gives a job to the thread that has the fewest, in a buffer with `outputBytes` for its output. */
  async #ask(
    input: Uint8Array,
    outputBytes: number,
    work: CodecWork,
  ): Promise<LentBytes & { readonly encoded: SuccessfulAnswer["encoded"] }> {
    if (this.#failure !== undefined) throw this.#failure;
    const lent = this.#lent.get(input.buffer);
    const isInPlace = lent !== undefined && input.byteOffset === 0 &&
      lent.buffer.memory.byteLength >= 2 * outputBytes;
    const thread = isInPlace ? lent.thread : this.#leastLoaded();
    const { buffers } = thread;
    const id = this.#nextId++;
    const buffer = isInPlace ? this.#takeOver(lent) : buffers?.take(outputBytes);
    if (buffers === undefined || buffer === undefined) {
      thread.unsent.push({ id, input: { bytes: new Uint8Array(input) }, work });
    } else {
      if (!isInPlace) new Uint8Array(buffer.memory).set(input);
      thread.unsent.push({ id, input: buffers.inputIn(buffer, input.byteLength), work });
    }
    sendIfMany(thread);
    const { output, encoded } = await new Promise<SuccessfulAnswer>((resolve, reject) => {
      this.#waiting.set(id, { thread, buffer, resolve, reject });
    });
    return { ...lend(output, buffers, buffer), encoded };
  }

  #leastLoaded(): PoolThread {
    return this.#threads.reduce((least, next) => loadOf(next) < loadOf(least) ? next : least);
  }

  #takeOver({ thread, buffer }: LentBuffer): SharedBuffer {
    this.#lent.delete(buffer.memory);
    thread.lentCount--;
    return buffer;
  }

  #settle(answer: CodecAnswer): void {
    const waiting = this.#waiting.get(answer.id);
    if (waiting === undefined) return;
    const { thread, buffer, resolve, reject } = waiting;
    this.#waiting.delete(answer.id);
    thread.sentCount--;
    sendIfMany(thread);
    if (!("failure" in answer)) return resolve(answer);
    if (buffer !== undefined) thread.buffers?.giveBack(buffer);
    reject(errorOf(answer.failure));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }
}

function loadOf({ unsent, sentCount, lentCount }: PoolThread): number {
  return unsent.length + sentCount + lentCount;
}

/**
 * Sends what a thread has to do once that is as much as it has still to answer: it never runs dry, and with several
 * jobs a message both threads are woken less often, which takes as long as copying a chunk.
 */
function sendIfMany(thread: PoolThread): void {
  if (thread.unsent.length === 0 || thread.unsent.length < thread.sentCount) return;
  const jobs = thread.unsent.splice(0);
  thread.sentCount += jobs.length;
  thread.thread.post(jobs, jobs.flatMap(({ input }) => "bytes" in input ? [input.bytes.buffer] : []));
}

/** What an answer says its bytes are. */
function lend(
  output: JobOutput,
  buffers: SharedBuffers | undefined,
  buffer: SharedBuffer | undefined,
): LentBytes {
  if (output instanceof Uint8Array) return { bytes: output, release: () => {} };
  if (buffers === undefined || buffer === undefined) {
    throw new CairnError("closed", "A codec worker gave an unexpected answer");
  }
  let isLent = true;
  return {
    bytes: new Uint8Array(buffer.memory, output.at, output.byteLength),
    release() {
      if (isLent) buffers.giveBack(buffer);
      isLent = false;
    },
  };
}

function errorOf({ code, message }: { code: CairnErrorCode | undefined; message: string }): Error {
  return code === undefined ? new Error(message) : new CairnError(code, message);
}
