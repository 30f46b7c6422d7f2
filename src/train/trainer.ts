import type { LoadReport } from "../checkpoint/load_report.ts";
import { checkpointPath } from "../checkpoint/open_path.ts";
import type { SaveReport } from "../checkpoint/pending_snapshot.ts";
import { openFrom, warmStart } from "../checkpoint/warm_start.ts";
import { CairnError } from "../base/errors.ts";
import type { TensorStore } from "../tensor/tensor_store.ts";
import { type AutoSaveOptions, AutoSaver, type AutoSaveSettings } from "./auto_saver.ts";
import { AutoSaves, checkpointOf } from "./auto_saves.ts";
import type { BatchSource } from "./batch_source.ts";
import { CheckpointPlace } from "./checkpoint_place.ts";
import type { EvaluationReport } from "./evaluation.ts";
import type { TrainingHistory } from "./history.ts";
import { Interrupts } from "./interrupts.ts";
import { BASE_FIELDS } from "./name_template.ts";
import { type ProgressReporter, standardError, terminalProgress } from "./progress.ts";
import {
  restoreRun,
  type RestoreTarget,
  resumeNewest,
  type ResumeOptions,
  type ResumeReport,
} from "./restore.ts";
import { Run, type RunOptions } from "./run.ts";
import { progressOf, TrainLog, trainLoop, type TrainOptions, type TrainReport } from "./train_loop.ts";

/** Options of {@link Trainer}. */
export interface TrainerOptions extends RunOptions {}

/** Options of {@link Trainer.load}. */
export interface TrainerLoadOptions {
  /**
   * True, the default: everything has to fit, and the run is what it was when it was saved. False: the
   * weights and moments that fit are taken, and step, epoch and history stay as they are.
   */
  readonly strict?: boolean;
  readonly signal?: AbortSignal;
}

/** Options of {@link Trainer.save}. */
export interface TrainerSaveOptions {
  /** Replace a checkpoint of that name. Default false: that is `already_exists`. */
  readonly overwrite?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Trains a model, saves it on the way, and goes on from where it was.
 *
 * The tensors are in the store, which stays the caller's; everything else of a run is a few integers and its
 * history. A resumed run has the same bits as one that was never disturbed, on the same adapter and runtime.
 *
 * @example
 * ```ts
 * const trainer = new Trainer(store, {
 *   model: nn.sequential(nn.linear(784, 128), nn.relu(), nn.linear(128, 10)),
 *   loss: nn.crossEntropy(),
 *   optimizer: optim.adamw({ learningRate: 1e-3 }),
 *   data: DataLoader.from({ inputs, labels }, { batchSize: 64, shuffle: true }),
 *   seed: 1,
 * });
 * trainer.autoSave({ interval: 1, savePath: "checkpoints" });
 * await trainer.resume();
 * await trainer.train({ epochs: 5 });
 * ```
 */
export class Trainer {
  readonly store: TensorStore;
  readonly #run: Run;
  readonly #validation: BatchSource | undefined;
  readonly #knownFields: readonly string[];
  #policy: AutoSaver | undefined;
  #place: Promise<CheckpointPlace> | undefined;
  /** What is under way that nothing else may come in between of. */
  #busyWith: string | undefined;
  #isClosed = false;

  /**
   * Defines the groups `model`, `optimizer.<slot>` and `trainer` in `store`; one trainer a store.
   *
   * @throws TypeError or RangeError for a model, loader or seed that does not fit; nothing runs on the GPU
   * before it is needed.
   */
  constructor(store: TensorStore, options: TrainerOptions) {
    this.store = store;
    this.#run = new Run(store, options);
    this.#validation = options.validation;
    this.#knownFields = options.validation === undefined
      ? BASE_FIELDS
      : [...BASE_FIELDS, "val_loss", ...Object.keys(this.#run.metrics).map((name) => `val_${name}`)];
  }

  /** Optimiser updates done. */
  get step(): number {
    return this.#run.step;
  }

  /** Whole epochs done. */
  get epoch(): number {
    return this.#run.epoch;
  }

  /** Seconds of training, those before a resume included. */
  get walltime(): number {
    return this.#run.walltime;
  }

  /**
   * Losses of every step that were read from the GPU, all of them after `train`, and what every epoch
   * measured.
   */
  get history(): TrainingHistory {
    return this.#run.history;
  }

  /** The settings of automatic saving, if it was configured. */
  get autoSaveSettings(): AutoSaveSettings | undefined {
    return this.#policy?.settings;
  }

  /**
   * Says when, where and under which names checkpoints are saved while training. What is left out of a second
   * call stays as it is.
   *
   * @param onInvalid Told of each setting that is wrong, which then stays as it was, and of saving being
   * disabled. Without it they are errors.
   * @throws CairnError `unknown_field` for a name with a field that this run never has; TypeError or
   * RangeError.
   */
  autoSave(options: AutoSaveOptions, onInvalid?: (message: string) => void): this {
    this.#requireIdle("change automatic saving");
    const policy = this.#policy ?? new AutoSaver({}, this.#knownFields);
    const before = policy.settings.savePath;
    if (onInvalid === undefined) policy.configure(options);
    else policy.configureLeniently(options, onInvalid);
    this.#policy = policy;
    if (policy.settings.savePath === before) return this;
    void this.#place?.then((place) => place.close()).catch(() => undefined);
    this.#place = undefined;
    return this;
  }

  /**
   * Goes on from the newest checkpoint in `savePath` of which every byte is sound, or from the beginning when
   * there is none.
   *
   * @param options `maxFailures` passes over a checkpoint that so often took the process down, and
   * `setsAsideDamaged` moves damaged ones out of the way; see `recover`.
   * @throws CairnError `state_mismatch` when that checkpoint is of another model, optimiser, seed or batch
   * size.
   */
  async resume(options: ResumeOptions = {}): Promise<ResumeReport> {
    return await this.#alone("resume", async () => await resumeNewest(await this.#target(), options));
  }

  /**
   * Takes the weights, and nothing else, from a checkpoint anywhere: the run begins at step 0 with them. Does
   * nothing and gives null when the run has begun or `savePath` has a checkpoint already, which `resume` goes
   * on from.
   */
  async warmStart(path: string | URL, options: TrainerLoadOptions = {}): Promise<LoadReport | null> {
    return await this.#alone("warmStart", async () => {
      if (this.#run.step > 0) return null;
      const { place } = await this.#target();
      if (this.#policy?.isEnabled === true && !await place.isEmpty()) return null;
      await this.#run.initialize();
      return await warmStart(this.store, path, options);
    });
  }

  /**
   * Trains until `epochs` epochs are done. Resolves when the last checkpoint is durable. Returns at once when
   * they are done already, after a resume for example.
   *
   * A checkpoint that cannot be saved stops nothing: it is in the report and told to `onWarning`.
   *
   * @throws CairnError `short_batch`, `device_lost`; `signal.reason`; and what a callback throws.
   */
  async train(options: TrainOptions): Promise<TrainReport> {
    const { epochs } = options;
    if (!Number.isSafeInteger(epochs) || epochs < 0) {
      throw new RangeError(`epochs is an integer from 0, found ${epochs}`);
    }
    return await this.#alone("train", () => this.#train(options));
  }

  async #train(options: TrainOptions): Promise<TrainReport> {
    const run = this.#run;
    const { epochs } = options;
    const startStep = run.step;
    const reporter = reporterFor(options.progress);
    const log = new TrainLog(options, reporter);
    const isDone = run.step >= epochs * run.batchesPerEpoch && !run.isEpochUnmeasured;
    const endedBy = isDone ? "end" : await this.#trainWith(options, log, reporter);
    const { saves, failedSaves, warnings } = log;
    return { steps: run.step - startStep, endedBy, saves, failedSaves, warnings };
  }

  /** Means over every example of `source`, by default the validation data, without dropout. */
  async evaluate(
    source: BatchSource | undefined = this.#validation,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<EvaluationReport> {
    this.#requireStill("evaluate");
    if (source === undefined) throw new TypeError("There is no validation data; give evaluate() a loader");
    return await this.#run.evaluate(source, options.signal);
  }

  /**
   * Saves everything of the run now. Resolves when the checkpoint is durable.
   *
   * @param target A tag in `savePath`, or a path anywhere (with a "/"), ".cairn" or not.
   * @throws CairnError `already_exists`, `invalid_tag`, `storage_failed`, `disk_full`, `device_lost`. No
   * older checkpoint is touched.
   */
  async save(target: string | URL, options: TrainerSaveOptions = {}): Promise<SaveReport> {
    this.#requireStill("save");
    await this.#run.initialize();
    const { place } = await this.#target();
    if (typeof target === "string" && !/[/\\]/.test(target)) {
      return await this.#saveIn(place, target, options);
    }
    const { directory, fileName } = checkpointPath(target);
    await place.saver.latest?.settled();
    const elsewhere = await CheckpointPlace.open(directory, place.engine.runId);
    try {
      return await this.#saveIn(elsewhere, fileName, options);
    } finally {
      await elsewhere.close();
    }
  }

  /**
   * Loads a checkpoint by its tag in `savePath`, its step, or its path.
   *
   * @returns What was loaded and what did not fit; with `strict` everything fits.
   * @throws CairnError `not_found`, `state_mismatch`, `checksum_mismatch`; then nothing has changed.
   */
  async load(target: string | number | URL, options: TrainerLoadOptions = {}): Promise<LoadReport> {
    return await this.#alone("load", () => this.#load(target, options));
  }

  async #load(target: string | number | URL, options: TrainerLoadOptions): Promise<LoadReport> {
    const { strict = true, signal } = options;
    const restoring = await this.#target();
    const checkpoint = await openFrom(restoring.place.engine, target, signal);
    try {
      if (strict) return await restoreRun(restoring, checkpoint, signal);
      await this.#run.initialize();
      return await checkpoint.loadInto(this.store, {
        strict: false,
        groups: this.#run.trainedGroups,
        ...signal === undefined ? {} : { signal },
      });
    } finally {
      await checkpoint.close();
    }
  }

  /**
   * Waits for the save under way and frees what the trainer made on the GPU. The store stays. Safe to call
   * twice. A `train` that still runs ends at its next step with the error `closed`.
   */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      await (await this.#place)?.close();
    } finally {
      await this.#run.close();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #trainWith(
    options: TrainOptions,
    log: TrainLog,
    reporter: ProgressReporter | undefined,
  ): Promise<TrainReport["endedBy"]> {
    const run = this.#run;
    const policy = this.#policy?.isEnabled === true ? this.#policy : undefined;
    if (options.handleSignals === true && policy === undefined) {
      log.onWarning(
        "A signal will end the training without saving it; call autoSave() first to have it saved",
      );
    }
    const interrupts = options.handleSignals === true ? new Interrupts() : undefined;
    try {
      await run.prepare();
      const saves = policy === undefined ? undefined : await this.#openSaves(policy, log);
      await reporter?.start?.(progressOf(run, options));
      run.setClock(true);
      return await trainLoop({ run, options, reporter, log, policy, saves, interrupts });
    } finally {
      run.setClock(false);
      reporter?.stop?.();
      interrupts?.stop();
    }
  }

  async #openSaves(policy: AutoSaver, log: TrainLog): Promise<AutoSaves> {
    const { place } = await this.#target();
    await place.survey();
    return new AutoSaves(this.#run, policy, place, log);
  }

  async #saveIn(place: CheckpointPlace, tag: string, options: TrainerSaveOptions): Promise<SaveReport> {
    const pending = await place.saver.save(() => checkpointOf(this.#run, this.#policy), tag, options);
    const report = await pending.wait();
    place.claim(report.tag);
    return report;
  }

  async #target(): Promise<RestoreTarget> {
    const opening = this.#place ?? CheckpointPlace.open(this.#policy?.settings.savePath ?? ".");
    this.#place = opening;
    try {
      return { run: this.#run, place: await opening, policy: this.#policy };
    } catch (error) {
      // The next call looks again: the directory may have been put right.
      if (this.#place === opening) this.#place = undefined;
      throw error;
    }
  }

  /** Does `work` while nothing else changes the run: a `resume` that nobody awaited would undo steps. */
  async #alone<T>(what: string, work: () => Promise<T>): Promise<T> {
    this.#requireIdle(what);
    this.#busyWith = what;
    try {
      return await work();
    } finally {
      this.#busyWith = undefined;
    }
  }

  #requireIdle(what: string): void {
    this.#requireOpen();
    if (this.#busyWith === undefined) return;
    throw new TypeError(`Cannot ${what} while ${this.#busyWith}() is running; await it first`);
  }

  /** What only reads the run may come between two steps, but not into the middle of a load. */
  #requireStill(what: string): void {
    if (this.#busyWith === "train") this.#requireOpen();
    else this.#requireIdle(what);
  }

  #requireOpen(): void {
    if (this.#isClosed) {
      throw new CairnError("closed", "Cannot use the trainer: it was closed; make a new one");
    }
  }
}

function reporterFor(progress: ProgressReporter | boolean | undefined): ProgressReporter | undefined {
  if (typeof progress === "object") return progress;
  if (progress === false) return undefined;
  if (progress === true) return terminalProgress();
  const stream = standardError();
  return stream?.isTTY === true ? terminalProgress({ stream }) : undefined;
}
