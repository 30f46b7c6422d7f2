import type { CommitReport } from "./engine.ts";
import type { BytesListener } from "./frozen_checkpoint.ts";
import type { RetentionReport } from "./retention.ts";

/** How a save stands. `aborted` and `failed` left the checkpoints before it as they were. */
export type PendingStatus = "saving" | "committed" | "failed" | "aborted";

/**
 * How far a save is: its content is fixed (`copied`), comes from the GPU (`reading`), is all on the host and goes to the file
 * (`writing`), and is made durable (`committing`); then how it ended. Reading and writing go hand in hand, so that
 * `writing` is only what is left of it; a save of nothing on the GPU is never `reading`.
 */
export type PendingPhase =
  | "copied"
  | "reading"
  | "writing"
  | "committing"
  | Exclude<PendingStatus, "saving">;

/** A checkpoint that was made durable, and what was cleaned up after it. */
export interface SaveReport extends CommitReport {
  readonly retention: RetentionReport | undefined;
}

/** How many raw bytes are done. */
export interface SaveProgress {
  readonly done: number;
  readonly total: number;
}

/** What a save is about, for a {@link PendingSnapshot}. */
export interface PendingContent {
  readonly tag: string;
  /** Whether some of it has to come from the GPU. */
  readonly isOnGpu: boolean;
  readonly rawByteLength: number;
}

/** What whoever does the work of a save tells the {@link PendingSnapshot}. */
export interface SaveStages extends BytesListener {
  onProgress(progress: SaveProgress): void;
  onCommitting(): void;
}

/**
 * A save that goes on in the background. Its content was fixed before this object existed; nothing the caller changes
 * afterwards gets into it.
 */
export class PendingSnapshot {
  readonly tag: string;
  /**
   * Resolves when all of the content was read from the GPU; rejects when the save fails before. Only an engine that writes to
   * several places, one after the other, then reads it again. Nobody has to wait for it.
   */
  readonly staged: Promise<void>;
  readonly #outcome: Promise<SaveReport>;
  #status: PendingStatus = "saving";
  #progress: SaveProgress;
  #isReading = false;
  #isStaged: boolean;
  #isRead = false;
  #isCommitting = false;
  #error: unknown;
  #isObserved = false;

  /**
   * @param work Begins at once.
   * @param signal Whose abort makes the status `aborted` and not `failed`.
   */
  constructor(
    content: PendingContent,
    work: (stages: SaveStages) => Promise<SaveReport>,
    signal?: AbortSignal,
  ) {
    this.tag = content.tag;
    this.#isStaged = !content.isOnGpu;
    this.#progress = { done: 0, total: content.rawByteLength };
    const { promise, resolve, reject } = withResolvers();
    this.staged = promise;
    if (this.#isStaged) resolve();
    const stages: SaveStages = {
      onReading: () => this.#isReading = true,
      onStaged: () => {
        this.#isStaged = true;
        resolve();
      },
      onRead: () => this.#isRead = true,
      onProgress: (progress) => this.#progress = { ...progress },
      onCommitting: () => this.#isCommitting = true,
    };
    this.#outcome = work(stages).then(
      (report) => {
        this.#status = "committed";
        stages.onStaged();
        return report;
      },
      (error: unknown) => {
        this.#status = signal?.aborted && error === signal.reason ? "aborted" : "failed";
        this.#error = error;
        reject(error);
        throw error;
      },
    );
    // Whoever waits gets the error, and so does the next save; nobody has to wait.
    this.#outcome.catch(() => {});
    this.staged.catch(() => {});
  }

  get status(): PendingStatus {
    return this.#status;
  }

  get phase(): PendingPhase {
    if (this.#status !== "saving") return this.#status;
    if (!this.#isReading) return "copied";
    if (!this.#isStaged) return "reading";
    // A decoupled engine is told to commit before it has written.
    return this.#isCommitting && this.#isRead ? "committing" : "writing";
  }

  /** Whether all of the content was read from the GPU, or was never there. */
  get isStaged(): boolean {
    return this.#isStaged;
  }

  /** How many of the raw bytes went to the file. */
  get progress(): SaveProgress {
    return this.#progress;
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

  /** Whether somebody asked for the outcome with {@link wait}. */
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

/** `Promise.withResolvers`, which Node 20 lacks. */
function withResolvers(): {
  promise: Promise<void>;
  resolve: () => void;
  reject: (reason: unknown) => void;
} {
  let resolve = (): void => {};
  let reject = (_: unknown): void => {};
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
