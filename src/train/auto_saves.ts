import { CairnError } from "../base/errors.ts";
import type { CheckpointState } from "../checkpoint/frozen_checkpoint.ts";
import type { PendingSnapshot, SaveReport } from "../checkpoint/pending_snapshot.ts";
import type { RetentionPolicy } from "../checkpoint/retention.ts";
import type { AutoSaver } from "./auto_saver.ts";
import type { CheckpointPlace } from "./checkpoint_place.ts";
import type { Run } from "./run.ts";
import { toStateTree } from "./training_state.ts";

/** One checkpoint that became durable. */
export interface SaveRecord {
  readonly tag: string;
  readonly path: string;
  readonly step: number;
  /** How long training stood still for it: the copy, and the save before if that was still under way. */
  readonly stallMs: number;
  /** From the request until it was durable. */
  readonly durationMs: number;
  readonly report: SaveReport;
}

/** One checkpoint that could not be saved. Training went on. */
export interface FailedSave {
  readonly tag: string;
  readonly step: number;
  readonly error: unknown;
}

/** Who hears of saves. */
export interface SaveListener {
  onSave(record: SaveRecord): void;
  onFailure(failure: FailedSave): void;
  onWarning(message: string): void;
}

/** Everything of a run, for a checkpoint. */
export function checkpointOf(run: Run, autoSaver: AutoSaver | undefined): CheckpointState {
  return {
    store: run.store,
    state: toStateTree(run.state(autoSaver?.stateDict() ?? null)),
    metrics: run.measured,
    provenance: { step: run.step, epoch: run.currentEpoch },
  };
}

/**
 * Saves a run in the background when its {@link AutoSaver} says so. A save that fails is told and does not
 * stop anything.
 */
export class AutoSaves {
  readonly #run: Run;
  readonly #policy: AutoSaver;
  readonly #place: CheckpointPlace;
  readonly #listener: SaveListener;
  readonly #fieldsMissed = new Set<string>();
  #hasWarnedOfWaiting = false;
  #outcome: Promise<void> = Promise.resolve();
  /** The step that the last save, under way or done, was of. */
  #lastStep: number | undefined;

  constructor(run: Run, policy: AutoSaver, place: CheckpointPlace, listener: SaveListener) {
    this.#run = run;
    this.#policy = policy;
    this.#place = place;
    this.#listener = listener;
  }

  /**
   * Takes a snapshot now and goes on behind. Waits for the save before, if that is still under way; there is
   * never more than one. Does nothing when this very step was saved.
   */
  async save(moment: "epoch" | "step"): Promise<void> {
    const run = this.#run;
    if (this.#lastStep === run.step) return;
    const { step } = run;
    this.#lastStep = step;
    const start = run.now();
    const { tag, overwrite } = this.#place.freeTag(this.#nameFor(moment));
    try {
      const pending = await this.#place.saver.save(() => checkpointOf(run, this.#policy), tag, {
        overwrite,
        keep: this.#keep(),
        onWait: (previous) => this.#warnOfWaiting(tag, previous.tag),
      });
      const stallMs = run.now() - start;
      // It asks for the outcome, and so the next save does not fail with this one's error.
      this.#outcome = this.#settle(pending, { tag, step, stallMs, start });
    } catch (error) {
      this.#fail({ tag, step, error });
    }
  }

  /** Resolves when no save is under way. Never rejects. */
  async settled(): Promise<void> {
    await this.#outcome;
  }

  async #settle(
    pending: PendingSnapshot,
    begun: { tag: string; step: number; stallMs: number; start: number },
  ): Promise<void> {
    const { tag, step, stallMs, start } = begun;
    try {
      const report = await pending.wait();
      this.#place.claim(tag);
      this.#policy.lastSavedTag = tag;
      for (const warning of [...report.warnings, ...report.retention?.warnings ?? []]) {
        this.#listener.onWarning(`Checkpoint "${tag}" is saved, but: ${warning.message}`);
      }
      this.#listener.onSave({
        tag,
        step,
        path: report.path,
        stallMs,
        durationMs: this.#run.now() - start,
        report,
      });
    } catch (error) {
      // So that one that is tried again takes another name.
      if (error instanceof CairnError && error.code === "already_exists") this.#place.concede(tag);
      this.#fail({ tag, step, error });
    }
  }

  /** Once: how long each one waited is in its record. */
  #warnOfWaiting(tag: string, previous: string): void {
    if (this.#hasWarnedOfWaiting) return;
    this.#hasWarnedOfWaiting = true;
    this.#listener.onWarning(
      `Checkpoint "${tag}" waits until "${previous}" is saved, and training with it; save less often or to a faster disk`,
    );
  }

  #fail(failure: FailedSave): void {
    // So that the last save of a run is tried again at the end.
    if (this.#lastStep === failure.step) this.#lastStep = undefined;
    this.#listener.onFailure(failure);
  }

  #nameFor(moment: "epoch" | "step"): string {
    const { step, currentEpoch, measured } = this.#run;
    return this.#policy.tagFor(moment, { ...measured, epoch: currentEpoch, step }, (field) => {
      if (this.#fieldsMissed.has(field)) return;
      this.#fieldsMissed.add(field);
      this.#listener.onWarning(
        `The name of a checkpoint has "na" for "${field}", which is not measured at that moment`,
      );
    });
  }

  #keep(): RetentionPolicy {
    const { keep, overwrite } = this.#policy.settings;
    const replaced = overwrite ? this.#policy.lastSavedTag : null;
    return {
      ...keep,
      ...replaced === null ? {} : { replaces: replaced },
    };
  }
}
