import { CairnError } from "../base/errors.ts";

/** What changes a run is done alone, and what only reads it not in the middle of that. */
export class OneAtATime {
  /** What is under way that nothing else may come in between of. */
  #busyWith: string | undefined;
  #isClosed = false;

  /** Whether {@link OneAtATime.close} was called. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Nothing begins any more. */
  close(): void {
    this.#isClosed = true;
  }

  /** Does `work` while nothing else changes the run: a `resume` that was not awaited would discard steps. */
  async alone<T>(what: string, work: () => Promise<T>): Promise<T> {
    this.requireIdle(what);
    this.#busyWith = what;
    try {
      return await work();
    } finally {
      this.#busyWith = undefined;
    }
  }

  /** @throws TypeError while something is under way. */
  requireIdle(what: string): void {
    this.requireOpen();
    if (this.#busyWith === undefined) return;
    throw new TypeError(`Cannot ${what} while ${this.#busyWith}() is running; await it first`);
  }

  /** What only reads the run may come between two steps, but not into the middle of a load. */
  requireStill(what: string): void {
    if (this.#busyWith === "train") this.requireOpen();
    else this.requireIdle(what);
  }

  /** @throws CairnError `closed`. */
  requireOpen(): void {
    if (this.#isClosed) {
      throw new CairnError("closed", "Cannot use the trainer: it was closed; make a new one");
    }
  }
}
