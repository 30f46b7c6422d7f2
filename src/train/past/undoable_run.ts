import type { AutoSaver } from "../saves/auto_saver.ts";
import type { RestoredLosses } from "../loop/restored_losses.ts";
import type { Run } from "../loop/run.ts";
import { knownOf, momentOf, returnTo, type RunMoment } from "./run_moment.ts";
import { StoreCopies } from "./store_copies.ts";

/** A run with everything that it was, a copy of its tensors on the GPU included. */
export class UndoableRun {
  readonly #run: Run;
  readonly #autoSaver: AutoSaver | undefined;
  readonly #moment: RunMoment;
  readonly #known: RestoredLosses;
  readonly #lastSavedTag: string | null | undefined;
  readonly #copies: StoreCopies;

  private constructor(run: Run, autoSaver: AutoSaver | undefined, copies: StoreCopies) {
    this.#run = run;
    this.#autoSaver = autoSaver;
    this.#moment = momentOf(run, autoSaver);
    this.#known = knownOf(run, run.step);
    this.#lastSavedTag = autoSaver?.lastSavedTag;
    this.#copies = copies;
    copies.take(0);
  }

  /** All losses of `run` have been read. @throws CairnError `out_of_memory` where there is no room for the copy. */
  static async of(run: Run, autoSaver: AutoSaver | undefined): Promise<UndoableRun> {
    const copies = await StoreCopies.allocate(run.store, 1, "Going to a step of the past");
    try {
      return new UndoableRun(run, autoSaver, copies);
    } catch (error) {
      copies.close();
      throw error;
    }
  }

  /** Makes the run what it was. */
  async undo(): Promise<void> {
    await returnTo(this.#run, this.#moment, {
      autoSaver: this.#autoSaver,
      putBack: () => this.#copies.putBack(0),
      known: this.#known,
    });
    if (this.#autoSaver !== undefined) this.#autoSaver.lastSavedTag = this.#lastSavedTag ?? null;
  }

  /** Frees the copy. */
  close(): void {
    this.#copies.close();
  }
}
