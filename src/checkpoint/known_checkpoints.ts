import { CairnError } from "../base/errors.ts";
import { type CheckpointSummary, skipped, type SkippedCheckpoint, summarize } from "./catalog.ts";
import type { Checkpoint } from "./checkpoint.ts";

/** Opens a checkpoint for its manifest. */
type OpenCheckpoint = (tag: string) => Promise<Checkpoint>;

/** What is known of one name. */
type Known = { readonly summary: CheckpointSummary } | { readonly unreadable: SkippedCheckpoint };

/**
 * What an engine knows of the checkpoints of a directory, kept from one look to the next, so that a look costs what is new since
 * the last one. Which file has a name is asked once: one that is replaced by somebody else under its name is noticed by whoever opens it.
 */
export class KnownCheckpoints {
  readonly #known = new Map<string, Known>();

  /**
   * Opens those that are new by name, and forgets those that are gone. One that could not be opened is tried again each time, as it may
   * have been a copy that was not complete yet.
   *
   * @param tags What there is.
   */
  async see(tags: readonly string[], open: OpenCheckpoint, pathOf: (tag: string) => string): Promise<void> {
    const there = new Set(tags);
    for (const tag of this.#known.keys()) if (!there.has(tag)) this.#known.delete(tag);
    for (const tag of tags) {
      const known = this.#known.get(tag);
      if (known !== undefined && "summary" in known) continue;
      try {
        this.#known.set(tag, { summary: await summarize(() => open(tag)) });
      } catch (error) {
        if (!(error instanceof CairnError)) throw error;
        // What is gone again is none.
        if (error.code === "not_found") this.#known.delete(tag);
        else this.#known.set(tag, { unreadable: skipped(tag, pathOf(tag), error) });
      }
    }
  }

  /** Looks at it anew the next time, as after it was written. */
  forget(tag: string): void {
    this.#known.delete(tag);
  }

  /** The highest `order` that there is, 0 where none has one. */
  get highestOrder(): number {
    let highest = 0;
    for (const known of this.#known.values()) {
      if ("summary" in known) highest = Math.max(highest, known.summary.order ?? 0);
    }
    return highest;
  }
}
