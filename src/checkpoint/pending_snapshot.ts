import type { CommitReport } from "./engine.ts";
import type { RetentionReport } from "./retention.ts";

/** How far a save is. `aborted` and `failed` left the checkpoints before it as they were. */
export type PendingStatus = "saving" | "committed" | "failed" | "aborted";

/** A checkpoint that was made durable, and what was cleaned up after it. */
export interface SaveReport extends CommitReport {
  readonly retention: RetentionReport | undefined;
}

/**
 * A save that goes on in the background. Its content was fixed before this object existed; nothing the caller changes
 * afterwards gets into it.
 */
export class PendingSnapshot {
  readonly tag: string;
  readonly #outcome: Promise<SaveReport>;
  #status: PendingStatus = "saving";
  #error: unknown;
  #isObserved = false;

  /** @param signal Whose abort makes the status `aborted` and not `failed`. */
  constructor(tag: string, outcome: Promise<SaveReport>, signal?: AbortSignal) {
    this.tag = tag;
    this.#outcome = outcome.then(
      (report) => {
        this.#status = "committed";
        return report;
      },
      (error: unknown) => {
        this.#status = signal?.aborted && error === signal.reason ? "aborted" : "failed";
        this.#error = error;
        throw error;
      },
    );
    // Whoever waits gets the error, and so does the next save; nobody has to wait.
    this.#outcome.catch(() => {});
  }

  get status(): PendingStatus {
    return this.#status;
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
