import { deferred } from "../base/deferred.ts";
import type { Throughput, WorkProgress } from "../base/work.ts";
import type { CommitReport } from "./engine/engine.ts";
import type { BytesListener, BytesPhase } from "./capture/frozen_checkpoint.ts";
import type { RetentionReport } from "./keep/retention/retention.ts";
import type { Staging } from "./capture/store_moment.ts";

/** How a save stands. `aborted` and `failed` left the checkpoints before it as they were. */
export type PendingStatus = "saving" | "committed" | "failed" | "aborted";

/**
 * How far a save is: its content is fixed (`copied`), comes from the GPU (`reading`), is all on the host and goes to
 * the file (`writing`), and is made durable (`committing`); then how it ended. Reading and writing go hand in hand,
 * so that `writing` is only what is left of it; a save of nothing on the GPU is never `reading`, and one that is
 * `streamed` never `copied`.
 */
export type PendingPhase =
  | "copied"
  | "reading"
  | "writing"
  | "committing"
  | Exclude<PendingStatus, "saving">;

/**
 * Where the tensors of a save came from: `host` when none was on the GPU, `shadow` when a copy there was enough, and
 * `streamed` when there was no memory for all of the copy, so that training had to wait until the rest was read.
 */
export type StagingKind = "host" | "shadow" | "streamed";

/**
 * A checkpoint that was made durable, and what was cleaned up after it. Its seconds are those from the copy until it
 * was durable, its bytes those of the tensors before compression, `written.rawBytes`.
 */
export interface SaveReport extends CommitReport, Throughput {
  /** Where the state was kept while it was written. */
  readonly staging: StagingKind;
  /** Bytes of tensors for which training had to wait, because there was no memory for a copy of them. */
  readonly streamedBytes: number;
  /** What was deleted afterwards; `undefined` where nothing was to be. */
  readonly retention: RetentionReport | undefined;
}

/**
 * How many raw bytes of a save went to the file. Memory holds those that are staged and not done, whatever the total.
 */
export interface PendingProgress extends WorkProgress {
  /** How many raw bytes were taken, from the GPU or from the frozen state. */
  readonly staged: number;
}

/** What a save is about, for a {@link PendingSnapshot}. */
export interface PendingContent {
  readonly tag: string;
  /** Whether some of it has to come from the GPU. */
  readonly isOnGpu: boolean;
  readonly rawByteLength: number;
}

/** What the worker of a save tells the {@link PendingSnapshot}. */
export interface SaveListener extends BytesListener {
  /** It is known where the tensors come from. */
  onStaging(staging: Staging): void;
  onPhase(phase: BytesPhase | "committing"): void;
  onProgress(progress: WorkProgress): void;
}

/**
 * A save that goes on in the background. Its content is fixed when `save` returns this object; later changes do not
 * get into it.
 */
export class PendingSnapshot {
  /** Its tag. */
  readonly tag: string;
  /**
   * Resolves when all of the content was read from the GPU; rejects when the save fails before. Only a group of engines
   * then reads it again. It need not be awaited.
   */
  readonly staged: Promise<void>;
  /**
   * Resolves when the content is fixed, or the save is over: from then on the tensors may change. Never rejects.
   * `save` resolves after this.
   */
  readonly fixed: Promise<void>;
  readonly #outcome: Promise<SaveReport>;
  #status: PendingStatus = "saving";
  #progress: WorkProgress;
  #stagedBytes = 0;
  #staging: StagingKind;
  readonly #reached = new Set<BytesPhase | "committing">();
  #error: unknown;
  #isObserved = false;

  /**
   * @param work Begins at once.
   * @param signal Whose abort makes the status `aborted` and not `failed`.
   *
   * @internal
   */
  constructor(
    content: PendingContent,
    work: (listener: SaveListener) => Promise<SaveReport>,
    signal?: AbortSignal,
  ) {
    this.tag = content.tag;
    this.#staging = content.isOnGpu ? "shadow" : "host";
    this.#progress = { done: 0, total: content.rawByteLength };
    const { promise, resolve, reject } = deferred();
    this.staged = promise;
    const { promise: fixed, resolve: onFixed } = deferred();
    this.fixed = fixed;
    const onPhase = (phase: BytesPhase | "committing"): void => {
      this.#reached.add(phase);
      // Not 0: a group of engines reads all of it for each of them.
      if (phase === "reading") this.#stagedBytes = this.#progress.done;
      if (phase === "fixed") onFixed();
      if (phase === "staged") resolve();
    };
    if (!content.isOnGpu) onPhase("staged");
    const listener: SaveListener = {
      onStaging: (staging) => {
        this.#staging = kindOf(staging);
        if (this.#staging !== "streamed") onFixed();
      },
      onPhase,
      onRead: (byteLength) => this.#stagedBytes += byteLength,
      onProgress: (progress) => this.#progress = { ...progress },
    };
    this.#outcome = work(listener).then(
      (report) => {
        this.#status = "committed";
        onPhase("staged");
        onFixed();
        return report;
      },
      (error: unknown) => {
        this.#status = signal?.aborted && error === signal.reason ? "aborted" : "failed";
        this.#error = error;
        reject(error);
        onFixed();
        throw error;
      },
    );
    // A caller that waits gets the error, and so does the next save; waiting is optional.
    this.#outcome.catch(() => {});
    this.staged.catch(() => {});
  }

  /** Where the save stands. */
  get status(): PendingStatus {
    return this.#status;
  }

  /** The same, with what a save under way is at. */
  get phase(): PendingPhase {
    if (this.#status !== "saving") return this.#status;
    if (!this.#reached.has("reading") && this.#staging !== "streamed") return "copied";
    if (!this.isStaged) return "reading";
    // A decoupled engine is told to commit before it has written.
    return this.#reached.has("committing") && this.#reached.has("taken") ? "committing" : "writing";
  }

  /** Whether all of the content was read from the GPU, or was never there. */
  get isStaged(): boolean {
    return this.#reached.has("staged");
  }

  /** How many of the raw bytes were taken, and how many went to the file. */
  get progress(): PendingProgress {
    return { ...this.#progress, staged: this.#stagedBytes };
  }

  /** Where the tensors come from. Known when `save` gives this object to its caller. */
  get staging(): StagingKind {
    return this.#staging;
  }

  /** Whether the checkpoint is durable. Stays false when the save failed: see {@link isSettled}. */
  get done(): boolean {
    return this.#status === "committed";
  }

  /** Whether the save is over, well or not. */
  get isSettled(): boolean {
    return this.#status !== "saving";
  }

  /** What went wrong, or `undefined`. */
  get error(): unknown {
    return this.#error;
  }

  /** Whether {@link wait} was called. */
  get isObserved(): boolean {
    return this.#isObserved;
  }

  /** Resolves when the checkpoint is durable; rejects with what went wrong. */
  async wait(): Promise<SaveReport> {
    this.#isObserved = true;
    return await this.#outcome;
  }

  /** Resolves when the save is over, well or not. Never rejects. */
  async settled(): Promise<void> {
    await this.#outcome.then(() => {}, () => {});
  }
}

/** What a save is called whose tensors come from there. */
export function kindOf({ shadowBytes, streamedBytes }: Staging): StagingKind {
  if (streamedBytes > 0) return "streamed";
  return shadowBytes > 0 ? "shadow" : "host";
}
