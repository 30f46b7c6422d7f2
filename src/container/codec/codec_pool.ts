import type { DType } from "../../base/dtype.ts";
import { CairnError } from "../../base/errors.ts";
import { type Deferred, deferred } from "../../base/deferred.ts";
import { Breather } from "../../base/event_loop.ts";
import { type CodecJob, type CodecResult, JobRunner } from "./codec_job.ts";
import { canStartThreads, type CodecThread, startThread, type ThreadListeners } from "./codec_thread.ts";
import type { ChunkSums } from "./decode_checked.ts";
import { JobBoard } from "./job_board.ts";
import { JobSlots, type Slot } from "./job_slots.ts";
import type { LentBytes, LentChunk } from "./lent.ts";
import { kernelsModule } from "./planes/wasm_kernels.ts";
import type { CodecName } from "./table.ts";

/** Handing a chunk with fewer raw bytes to another thread takes longer than coding it. */
export const MIN_POOL_BYTES: number = 64 * 1024;

// So many that no thread waits for the next while results are taken in their order.
const JOBS_A_THREAD = 4;

/** A job that is posted. Take its result, or abandon it. */
export interface PostedJob<Result> {
  /**
   * The result. Until it is there, this thread does what no other has begun.
   *
   * @throws what the job failed with.
   */
  take(): Promise<Result>;
  /** Gives its memory back when it is done. */
  abandon(): void;
}

/** A job whose result nobody has taken yet. */
interface UnderWay {
  readonly job: CodecJob;
  readonly inputBytes: number;
  /** That of the slot, where it has one. */
  memory: ArrayBufferLike;
  /** Absent where there was none free, or a thread died that may still write to it. */
  slot: Slot | undefined;
  /** What this thread has made of it. */
  settled: { readonly result: CodecResult } | { readonly error: unknown } | undefined;
}

/**
 * Encodes and decodes chunks on other threads, and on this one while it waits for them ({@link CodecPool.beginEncode}).
 * Nobody hands work out: jobs are posted in shared memory, and whoever has time takes the next. Bytes go there by one
 * copy, and are lent back from there without another; what is written to memory from {@link CodecPool.lend} saves the
 * copy. Close a pool that you opened: until then its threads may keep the process alive. When a thread dies, the job
 * that it was at rejects with `CairnError("closed")`, and the others do the rest: at last this one.
 */
export class CodecPool {
  readonly #board: JobBoard = new JobBoard();
  readonly #slots: JobSlots;
  readonly #threads: readonly CodecThread[];
  readonly #dead: Set<number> = new Set();
  /** By the index of their slots. */
  readonly #underWay: Map<number, UnderWay> = new Map();
  /** Jobs that nobody waits for and that are not done, maybe. */
  readonly #abandoned: Set<UnderWay> = new Set();
  readonly #runner: JobRunner = new JobRunner();
  readonly #breather: Breather = new Breather();
  #answer: Deferred | undefined;
  #isClosed = false;

  private constructor(count: number, start: (listeners: ThreadListeners) => CodecThread) {
    this.#threads = Array.from({ length: count }, (_, thread) =>
      start({
        answered: () => this.#wake(),
        failed: (error) => this.#lose(thread, error),
      }));
    this.#threads.forEach((thread, i) =>
      thread.post({ kind: "board", board: this.#board.memory, thread: i, kernels: kernelsModule() })
    );
    this.#slots = new JobSlots(({ index, number, memory }) => {
      const message = { kind: "memory", slot: index, number, memory } as const;
      this.#threads.forEach((thread, i) => this.#dead.has(i) || thread.post(message));
    });
  }

  /**
   * Starts `workers` threads, which takes some tens of milliseconds; this thread need not wait for that. Gives
   * `undefined` where there are no threads or no memory that they share, such as on a browser's page that is not
   * isolated from other origins. Throws a `RangeError` unless it is an integer from 1 to 64.
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

  /** Number of threads, without the one that has the pool. */
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
   * Throws `CairnError("out_of_memory")`.
   */
  lend(byteLength: number): LentBytes {
    return this.#slots.lend(byteLength);
  }

  /**
   * The chunk in the smallest of these codecs and of raw, by another thread. Unless `raw` is lent it is copied before
   * this returns. Rejects with what a codec throws, with `CairnError("out_of_memory")`, or with `closed`.
   */
  async encode(raw: Uint8Array, dtype: DType, names: readonly CodecName[]): Promise<LentChunk> {
    const posted = this.#post(raw, raw.byteLength, { kind: "encode", dtype, names });
    return lentChunk(await this.#resultOf(posted, false));
  }

  /**
   * The raw bytes of a chunk by the codec `name`, by another thread, with everything checked that `decodeChecked`
   * checks, and its errors. Unless `stored` is lent it is copied before this returns.
   */
  async decode(stored: Uint8Array, name: CodecName, sums: ChunkSums): Promise<LentBytes> {
    const outputBytes = Math.max(stored.byteLength, sums.rawLength);
    const posted = this.#post(stored, outputBytes, { kind: "decode", name, sums });
    return await this.#resultOf(posted, false);
  }

  /**
   * As {@link encode}, by this thread too while it waits for the result.
   *
   * @internal
   */
  beginEncode(raw: Uint8Array, dtype: DType, names: readonly CodecName[]): PostedJob<LentChunk> {
    const posted = this.#post(raw, raw.byteLength, { kind: "encode", dtype, names });
    return {
      take: async () => lentChunk(await this.#resultOf(posted, true)),
      abandon: () => this.#abandon(posted),
    };
  }

  /**
   * As {@link decode}, by this thread too while it waits for the result.
   *
   * @internal
   */
  beginDecode(stored: Uint8Array, name: CodecName, sums: ChunkSums): PostedJob<LentBytes> {
    const outputBytes = Math.max(stored.byteLength, sums.rawLength);
    const posted = this.#post(stored, outputBytes, { kind: "decode", name, sums });
    return { take: () => this.#resultOf(posted, true), abandon: () => this.#abandon(posted) };
  }

  /** Ends the threads. What is still under way rejects with `CairnError("closed")`. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#board.close();
    this.#wake();
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #post(input: Uint8Array, outputBytes: number, job: CodecJob): UnderWay {
    if (this.#isClosed) throw closed();
    this.#takeBackAbandoned();
    const lent = this.#slots.takeOver(input, outputBytes);
    const slot = lent ?? this.#slots.take(outputBytes);
    const memory = slot?.memory ?? new ArrayBuffer(outputBytes);
    if (lent === undefined) new Uint8Array(memory).set(input);
    const posted: UnderWay = { job, inputBytes: input.byteLength, memory, slot, settled: undefined };
    if (slot === undefined) {
      this.#settleHere(posted);
    } else {
      this.#underWay.set(slot.index, posted);
      this.#board.post(slot.index, slot.number, posted.inputBytes, job);
    }
    return posted;
  }

  /** @param helps Whether this thread takes jobs while it waits. Where there is no other, it does. */
  async #resultOf(posted: UnderWay, helps: boolean): Promise<LentResult> {
    for (;;) {
      if (this.#isClosed) throw closed();
      const result = this.#settled(posted);
      if (result !== undefined) return this.#lentResult(posted, result);
      const isAlone = this.#dead.size === this.#threads.length;
      if (!helps && !isAlone) await this.#answerFor(posted);
      else if (this.#workHere()) await this.#breather.breathe();
      // A thread may have died between two words of the board.
      else if (isAlone) this.#giveUp(posted);
      else await this.#answerFor(posted);
    }
  }

  /** What a job has come to, so far; throws what it failed with. */
  #settled(posted: UnderWay): CodecResult | undefined {
    if (posted.settled === undefined) {
      const result = posted.slot === undefined ? "failed" : this.#board.result(posted.slot.index);
      if (result !== "failed") return result;
      // Done again, to see what it fails with.
      this.#settleHere(posted);
    }
    const { settled } = posted;
    if (settled === undefined || "result" in settled) return settled?.result;
    this.#giveBack(posted);
    throw settled.error;
  }

  /** Does the job here that has waited longest; false where there is none. */
  #workHere(): boolean {
    const taken = this.#board.take(this.#threads.length, () => true);
    if (typeof taken === "string") return false;
    const posted = this.#underWay.get(taken.slot);
    if (posted !== undefined) this.#settleHere(posted);
    return true;
  }

  #settleHere(posted: UnderWay): void {
    try {
      posted.settled = { result: this.#runner.run(posted.job, posted.memory, posted.inputBytes) };
    } catch (error) {
      posted.settled = { error };
    }
  }

  #lentResult(posted: UnderWay, result: CodecResult): LentResult {
    let isLent = true;
    return {
      result,
      bytes: new Uint8Array(posted.memory, 0, result.byteLength),
      release: () => {
        if (isLent) this.#giveBack(posted);
        isLent = false;
      },
    };
  }

  #giveBack(posted: UnderWay): void {
    const { slot } = posted;
    if (slot === undefined || this.#underWay.get(slot.index) !== posted) return;
    this.#underWay.delete(slot.index);
    this.#slots.giveBack(slot);
  }

  #abandon(posted: UnderWay): void {
    this.#abandoned.add(posted);
    this.#takeBackAbandoned();
  }

  #takeBackAbandoned(): void {
    for (const posted of this.#abandoned) {
      const { slot, settled } = posted;
      if (slot !== undefined && settled === undefined && this.#board.result(slot.index) === undefined) {
        continue;
      }
      this.#abandoned.delete(posted);
      this.#giveBack(posted);
    }
  }

  /** Resolves when another thread has done some job, or when this one is done. */
  async #answerFor({ slot }: UnderWay): Promise<void> {
    this.#board.await();
    // It may have been done just before.
    if (slot !== undefined && this.#board.result(slot.index) !== undefined) return;
    this.#answer ??= deferred();
    await this.#answer.promise;
  }

  #wake(): void {
    this.#answer?.resolve();
    this.#answer = undefined;
  }

  /** A thread has died. */
  #lose(thread: number, why: Error): void {
    if (this.#isClosed || this.#dead.has(thread)) return;
    this.#dead.add(thread);
    void this.#threads[thread]?.close();
    for (const posted of this.#underWay.values()) {
      if (posted.slot !== undefined && this.#board.isAt(posted.slot.index, thread)) {
        this.#giveUp(posted, why);
      }
    }
    this.#wake();
  }

  /** Gives a job up that a dead thread has begun: it may have overwritten the input, and may still write. */
  #giveUp(posted: UnderWay, why?: Error): void {
    if (posted.slot !== undefined) this.#underWay.delete(posted.slot.index);
    posted.slot = undefined;
    posted.settled = { error: why ?? new CairnError("closed", "A codec worker has died; try again") };
  }
}

/** What a job has come to, and its bytes. */
interface LentResult extends LentBytes {
  readonly result: CodecResult;
}

function lentChunk({ result: { codec, storedCrc, rawCrc }, bytes, release }: LentResult): LentChunk {
  return { codec, storedCrc, rawCrc, stored: bytes, release };
}

function closed(): CairnError {
  return new CairnError("closed", "This CodecPool is closed; open another");
}
