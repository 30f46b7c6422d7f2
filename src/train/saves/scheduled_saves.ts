import { definedFields } from "../../base/defined_fields.ts";
import { CairnError } from "../../base/errors.ts";
import type { OnDiskFull } from "../../checkpoint/engine/disk_space.ts";
import type { CheckpointState } from "../../checkpoint/capture/frozen_checkpoint.ts";
import type { StreamedTensors } from "../../checkpoint/capture/streamed_tensors.ts";
import type { Provenance, SavedBy } from "../../container/format/manifest.ts";
import type { PendingSnapshot, SaveReport } from "../../checkpoint/pending_snapshot.ts";
import type { RetentionPolicy } from "../../checkpoint/keep/retention/retention.ts";
import type { AutoSaver } from "./auto_saver.ts";
import { type BestSave, betterOf } from "../loop/auto_saver_state.ts";
import type { FreeTag, RunDirectory } from "./run_directory.ts";
import { mayReplace } from "./replacing.ts";
import { isNonFinite } from "../loop/non_finite.ts";
import type { Run } from "../loop/run.ts";
import { toStateTree } from "../loop/training_state.ts";

/** One checkpoint that became durable. */
export interface SaveRecord {
  /** Its tag. */
  readonly tag: string;
  /** Full name of its file. */
  readonly path: string;
  /** Optimiser updates at which it was saved. */
  readonly step: number;
  /** How long training waited for it: for the copy, and for the last save if that was still under way. */
  readonly stallMs: number;
  /** From the request until it was durable. */
  readonly durationMs: number;
  /** What was written, and what was deleted afterwards. */
  readonly report: SaveReport;
}

/** One checkpoint that could not be saved. Training went on. */
export interface FailedSave {
  /** The tag that it would have had. */
  readonly tag: string;
  /** Optimiser updates at which it was to be saved. */
  readonly step: number;
  /** What was thrown. */
  readonly error: unknown;
}

/** Is told of saves. */
export interface SaveListener {
  /** A save has begun, of which `onSave` or `onFailure` will follow. */
  onSaving?(tag: string): void;
  onSave(record: SaveRecord): void;
  onFailure(failure: FailedSave): void;
  onWarning(message: string): void;
}

/** What a save does for which there is no space. */
const WITHOUT_SPACE: Readonly<Record<OnDiskFull, string>> = {
  error: "it fails",
  pause: "it waits until space is freed, and later ones wait too",
  evictOldest: "the oldest checkpoints of this run go",
};

/**
 * Everything of a run, for a checkpoint.
 *
 * @param others What other ranks keep of the optimiser, where they do.
 * @throws TypeError where they do and do not send it.
 */
export function checkpointOf(
  run: Run,
  autoSaver: AutoSaver | undefined,
  savedBy: SavedBy,
  others?: StreamedTensors,
): CheckpointState {
  if (run.steps.rules.owners !== undefined && others === undefined) {
    throw new TypeError(
      "With optimizerSharding each rank keeps a part of what the optimiser has: save by autoSave() or trainer.save() " +
        "on all ranks; what saves a run by itself, such as assertResumeExact(), takes one without optimizerSharding",
    );
  }
  const { step, currentEpoch: epoch, parent } = run;
  const modelCode = autoSaver?.settings.modelCode ?? undefined;
  return {
    store: run.store,
    streamed: others,
    state: toStateTree(run.state(autoSaver?.stateDict() ?? null)),
    metrics: run.measured,
    provenance: definedFields<Provenance>({ step, epoch, parent, savedBy }),
    modelCode,
  };
}

/**
 * Saves a run in the background when its {@link AutoSaver} says so. A save that fails is reported and does not stop
 * the training.
 */
export class ScheduledSaves {
  readonly #run: Run;
  readonly #autoSaver: AutoSaver;
  readonly #runDirectory: RunDirectory;
  readonly #listener: SaveListener;
  readonly #fieldsMissed = new Set<string>();
  readonly #giveUp: AbortSignal;
  readonly #abandoning = new AbortController();
  /** Why a save stops waiting for disk space; undefined while it may wait. */
  #leaving: { readonly reason: unknown } | undefined;
  #isPaused = false;
  #hasWarnedOfWaiting = false;
  #hasWarnedOfStreaming = false;
  #outcome: Promise<void> = Promise.resolve();
  /** The step that the last save, under way or done, was of. */
  #lastStep: number | undefined;
  #durableStep: number | undefined;
  #isRetryDue = false;
  #hasSeenStop = false;
  /** What is best once the save under way is durable. */
  #bestUnderWay: BestSave | null = null;

  /** @param giveUp Aborts what is being saved, and everything after it. */
  constructor(
    run: Run,
    autoSaver: AutoSaver,
    runDirectory: RunDirectory,
    listener: SaveListener,
    giveUp?: AbortSignal,
  ) {
    this.#run = run;
    this.#autoSaver = autoSaver;
    this.#runDirectory = runDirectory;
    this.#listener = listener;
    this.#giveUp = AbortSignal.any([this.#abandoning.signal, ...giveUp === undefined ? [] : [giveUp]]);
    const { onDiskFull } = runDirectory;
    runDirectory.onShortage(({ path, neededBytes, freeBytes }) => {
      const what = WITHOUT_SPACE[onDiskFull];
      listener.onWarning(
        `A checkpoint needs ${neededBytes} bytes and "${path}" has ${freeBytes} free: ${what}`,
      );
      this.#isPaused = onDiskFull === "pause";
      this.#abandonPaused();
    });
  }

  /** Training ended with `reason`: what is being written is saved, but nothing waits for space on the disk. */
  leave(reason: unknown): void {
    this.#leaving = { reason };
    this.#abandonPaused();
  }

  #abandonPaused(): void {
    if (this.#leaving !== undefined && this.#isPaused) this.#abandoning.abort(this.#leaving.reason);
  }

  /** The step of the newest checkpoint of this call that is durable. */
  get durableStep(): number | undefined {
    return this.#durableStep;
  }

  /** Whether a save was lost to another run that took its name, so that one should follow at once. */
  get isRetryDue(): boolean {
    return this.#isRetryDue;
  }

  /** Whether what was measured of this step is the best so far, and by that to be saved. */
  get isBestDue(): boolean {
    return this.#autoSaver.isDueAfterValidation(this.#run.measured, this.#bestUnderWay);
  }

  /** Whether a save was refused because a step that was not finite had stopped the run. */
  get hasSeenStop(): boolean {
    return this.#hasSeenStop;
  }

  /**
   * Takes a snapshot now and saves it in the background. Waits for the last save, if that is still under way; there
   * is never more than one. Does nothing when this very step was saved.
   *
   * @param others What other ranks keep of the optimiser, where they do.
   */
  async save(moment: "epoch" | "step", others?: StreamedTensors): Promise<void> {
    const run = this.#run;
    if (this.#lastStep === run.step) return;
    const { step, measured } = run;
    this.#lastStep = step;
    const { best } = this.#autoSaver.settings.keep;
    if (best !== undefined) {
      this.#bestUnderWay = betterOf(this.#bestUnderWay, best, measured[best.metric], step);
    }
    const start = run.now();
    const wanted = this.#nameFor(moment);
    const { latest } = this.#runDirectory.saver;
    if (latest?.isSettled === false) {
      this.#warnOfWaiting(wanted, latest.tag);
      // Before the name is chosen, as that one may find its own taken.
      await this.#outcome;
    }
    this.#isRetryDue = false;
    this.#isPaused = false;
    let tag = wanted;
    try {
      const free = await this.#freeTag(wanted, moment);
      tag = free.tag;
      this.#listener.onSaving?.(tag);
      const pending = await this.#runDirectory.saver.save(
        () => checkpointOf(run, this.#autoSaver, "auto", others),
        tag,
        {
          overwrite: free.overwrite,
          keep: this.#keep(),
          signal: this.#giveUp,
          onProgress: () => this.#isPaused = false,
          onWait: (previous) => this.#warnOfWaiting(tag, previous.tag),
        },
      );
      if (pending.staging === "streamed" && others === undefined) this.#warnOfStreaming(tag);
      const stallMs = this.#since(start);
      // It asks for the outcome, and so the next save does not fail with this one's error.
      this.#outcome = this.#settle(pending, { tag, step, measured, stallMs, start });
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
    begun: {
      tag: string;
      step: number;
      measured: Readonly<Record<string, number>>;
      stallMs: number;
      start: number;
    },
  ): Promise<void> {
    const { tag, step, measured, stallMs, start } = begun;
    try {
      const report = await pending.wait();
      this.#runDirectory.claim(tag, report.retention?.deleted);
      this.#autoSaver.onSaved(tag, step, measured);
      this.#durableStep = step;
      for (const warning of [...report.warnings, ...report.retention?.warnings ?? []]) {
        this.#listener.onWarning(`Checkpoint "${tag}" is saved, but: ${warning.message}`);
      }
      this.#listener.onSave({
        tag,
        step,
        path: report.path,
        stallMs,
        durationMs: this.#since(start),
        report,
      });
    } catch (error) {
      if (error instanceof CairnError && error.code === "already_exists") this.#concede(tag);
      this.#fail({ tag, step, error });
    }
  }

  /** A run that saves into the same directory was faster. */
  #concede(tag: string): void {
    const suffix = this.#runDirectory.concede(tag);
    this.#isRetryDue = true;
    this.#listener.onWarning(
      `Another run saves into the same directory and took the name "${tag}"; the names of this one end with ` +
        `"${suffix}" from now on; give each run a savePath of its own, or set exclusive`,
    );
  }

  /** A clock that was set back makes no negative times. */
  #since(start: number): number {
    return Math.max(0, this.#run.now() - start);
  }

  /** Once: how long each one waited is in its record. */
  #warnOfWaiting(tag: string, previous: string): void {
    if (this.#hasWarnedOfWaiting) return;
    this.#hasWarnedOfWaiting = true;
    this.#listener.onWarning(
      `Checkpoint "${tag}" waits until "${previous}" is saved, and training waits too; save less often or to a faster disk`,
    );
  }

  #warnOfStreaming(tag: string): void {
    if (this.#hasWarnedOfStreaming) return;
    this.#hasWarnedOfStreaming = true;
    this.#listener.onWarning(
      `The GPU has no memory for a copy of the tensors: training waits while checkpoint "${tag}" is written, and so for each ` +
        "later one; save less often, or make the model or its batches smaller",
    );
  }

  #fail(failure: FailedSave): void {
    // So that the last save of a run is tried again at the end.
    if (this.#lastStep === failure.step) this.#lastStep = undefined;
    if (this.#bestUnderWay?.step === failure.step) this.#bestUnderWay = null;
    this.#hasSeenStop ||= isNonFinite(failure.error);
    this.#listener.onFailure(failure);
  }

  #nameFor(moment: "epoch" | "step"): string {
    const { step, currentEpoch, measured } = this.#run;
    return this.#autoSaver.tagFor(moment, { ...measured, epoch: currentEpoch, step }, (field) => {
      if (this.#fieldsMissed.has(field)) return;
      this.#fieldsMissed.add(field);
      this.#listener.onWarning(
        `The name of a checkpoint has "na" for "${field}", which is not measured at that moment`,
      );
    });
  }

  async #freeTag(wanted: string, moment: "epoch" | "step"): Promise<FreeTag> {
    const { step, measured } = this.#run;
    const { engine } = this.#runDirectory;
    const newcomer = { step, metrics: measured };
    return await this.#runDirectory.freeTag(
      wanted,
      (tag) => mayReplace(tag, moment, { engine, autoSaver: this.#autoSaver, newcomer }),
    );
  }

  #keep(): RetentionPolicy {
    const { keep, overwrite } = this.#autoSaver.settings;
    return { ...keep, replaces: (overwrite ? this.#autoSaver.lastSavedTag : null) ?? undefined };
  }
}
