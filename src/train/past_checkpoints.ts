import { CairnError } from "../base/errors.ts";
import { type CheckpointSummary, readCatalog, type SkippedCheckpoint } from "../checkpoint/engine/catalog.ts";
import { skipped } from "../checkpoint/engine/summary.ts";
import type { Checkpoint } from "../checkpoint/file/checkpoint.ts";
import type { Run } from "./loop/run.ts";
import { firstDifferentLoss, type KnownPast, pastOfCheckpoint, pastOfRun } from "./past/known_past.ts";
import { restoreRun, type RestoreTarget } from "./restore.ts";

/** A checkpoint that says of which step it is. */
type OfStep = CheckpointSummary & { readonly step: number };

/**
 * The checkpoints of a run in its directory. Two of the same run may be of steps that went different ways, since it may
 * have gone back and changed something: those that belong together have the same losses, bit for bit.
 */
export class PastCheckpoints {
  /** Those that were looked at and passed over. */
  readonly skipped: SkippedCheckpoint[] = [];
  readonly #run: Run;
  readonly #target: RestoreTarget | undefined;
  readonly #signal: AbortSignal | undefined;
  /** The newest first. */
  #all: readonly OfStep[];

  private constructor(
    { run, target }: { readonly run: Run; readonly target: RestoreTarget | undefined },
    all: readonly OfStep[],
    signal: AbortSignal | undefined,
  ) {
    this.#run = run;
    this.#target = target;
    this.#all = all;
    this.#signal = signal;
  }

  static async of(
    where: { readonly run: Run; readonly target: RestoreTarget | undefined },
    signal: AbortSignal | undefined,
  ): Promise<PastCheckpoints> {
    const { run, target } = where;
    if (target === undefined) return new PastCheckpoints(where, [], signal);
    const { engine } = target.runDirectory;
    const { checkpoints } = await readCatalog(engine, { signal });
    // A run that has done nothing yet may be any of those that are there.
    const all = checkpoints.filter((each): each is OfStep =>
      each.step !== undefined && (run.step === 0 || each.runId === engine.runId)
    );
    return new PastCheckpoints(where, all.reverse(), signal);
  }

  /**
   * What the newest checkpoint of `step` or later knows that goes on from where the run is; undefined where there is
   * none. From then on only those of the same run count.
   */
  async pastBeyond(step: number): Promise<KnownPast | undefined> {
    const now = pastOfRun(this.#run);
    for (const summary of this.#all.filter((each) => each.step >= step)) {
      const past = await this.#look(summary, async (checkpoint) => await this.#pastIf(checkpoint, now));
      if (past === undefined) continue;
      this.#all = this.#all.filter(({ runId }) => runId === summary.runId);
      return past;
    }
    return undefined;
  }

  /**
   * Makes the run the one of the nearest checkpoint that belongs to `past`.
   *
   * @returns Its tag; undefined where there is none.
   */
  async restoreNearest(
    past: KnownPast,
    { above, upTo }: { readonly above: number; readonly upTo: number },
  ): Promise<string | undefined> {
    const nearest = this.#all.filter(({ step }) => step > above && step <= upTo).sort((a, b) =>
      b.step - a.step
    );
    for (const summary of nearest) {
      const tag = await this.#look(summary, async (checkpoint) => {
        if (this.#target === undefined || await this.#pastIf(checkpoint, past) === undefined) {
          return undefined;
        }
        await restoreRun(this.#target, checkpoint, { signal: this.#signal, isAllowed: () => false });
        return checkpoint.tag;
      });
      if (tag !== undefined) return tag;
    }
    return undefined;
  }

  /** What a checkpoint knows, if its losses are those of `past`. */
  async #pastIf(checkpoint: Checkpoint, past: KnownPast): Promise<KnownPast | undefined> {
    const found = await pastOfCheckpoint(this.#run, checkpoint, this.#signal);
    const different = firstDifferentLoss(found.losses, past.losses);
    if (different === undefined) return found;
    const { tag, path } = checkpoint;
    throw new CairnError("state_mismatch", `"${tag}" went another way from step ${different + 1} on`, {
      details: { tag, path, value: different + 1 },
    });
  }

  /** Opens a checkpoint; what is wrong with it is remembered, and it is passed over. */
  async #look<T>(
    { tag, path }: CheckpointSummary,
    use: (checkpoint: Checkpoint) => Promise<T>,
  ): Promise<T | undefined> {
    try {
      const checkpoint = await this.#target?.runDirectory.engine.load(tag, { signal: this.#signal });
      try {
        return checkpoint === undefined ? undefined : await use(checkpoint);
      } finally {
        await checkpoint?.close();
      }
    } catch (error) {
      const isOfFile = error instanceof CairnError && !["device_lost", "out_of_memory"].includes(error.code);
      if (!isOfFile) throw error;
      this.skipped.push(skipped(tag, path, error));
      return undefined;
    }
  }
}
