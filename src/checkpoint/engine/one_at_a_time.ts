import { CairnError } from "../../base/errors.ts";

/** Lets one call of an engine do its work at a time. Whoever comes meanwhile is refused rather than queued. */
export class OneAtATime {
  #isBusy = false;

  /** @throws CairnError `commit_failed` while another call is under way. */
  async run<T>(op: string, work: () => Promise<T>): Promise<T> {
    this.requireIdle(op);
    this.#isBusy = true;
    try {
      return await work();
    } finally {
      this.#isBusy = false;
    }
  }

  /** @throws CairnError `commit_failed` while another call is under way. */
  requireIdle(op: string): void {
    if (!this.#isBusy) return;
    const message = `Cannot ${op}: another call of this engine is under way; await that first`;
    throw new CairnError("commit_failed", message, { details: { op } });
  }
}
