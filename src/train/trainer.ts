import { requireAwaited } from "../base/options/kind_of.ts";
import type { LoadReport } from "../checkpoint/restore/load_report.ts";
import type { SaveReport } from "../checkpoint/pending_snapshot.ts";
import { checkOptions, pickOptions } from "../base/options/options.ts";
import { type GenerateOptions, generateSettings } from "../generate/generate_options.ts";
import { tokensOf, tokensOfOne } from "../generate/prompts.ts";
import type { Value } from "../graph/value.ts";
import type { Values } from "../graph/values.ts";
import type { TensorStore } from "../tensor/tensor_store.ts";
import type { AutoSaveOptions, AutoSaveSettings } from "./saves/auto_save_options.ts";
import { AutoSaver } from "./saves/auto_saver.ts";
import { CallbackList } from "./callbacks/callback_list.ts";
import type { BatchSource } from "../data/batch_source.ts";
import { EVALUATE_OPTIONS, type EvaluateOptions, type EvaluationReport } from "./measure/evaluation.ts";
import type { Predicted, PredictInputs } from "./measure/prediction_source.ts";
import { PREDICT_OPTIONS, type PredictOptions } from "./measure/prediction_source.ts";
import type { NonFiniteResult } from "./loop/find_non_finite.ts";
import { type Printable, showAs } from "../base/printable.ts";
import { EXPLAIN_OPTIONS, type ExplainOptions, type StepExplanation } from "./step/explain_step.ts";
import type { ModelSummary } from "./step/summarize_model.ts";
import { measuredNames } from "./step/kept_terms.ts";
import { CLOSE_OPTIONS, type CloseOptions } from "./step/close_options.ts";
import { GOTO_OPTIONS, type GotoOptions, type GotoReport } from "./goto_options.ts";
import type { TrainingHistory } from "./loop/history.ts";
import { BASE_FIELDS } from "./saves/name_template.ts";
import {
  RECOVER_RUN_OPTIONS,
  type RecoverRunOptions,
  RESUME_OPTIONS,
  type ResumeOptions,
  type ResumeReport,
  TRAINER_LOAD_OPTIONS,
  type TrainerLoadOptions,
} from "./restore_options.ts";
import { Run } from "./loop/run.ts";
import { RunDirectories } from "./run_directories.ts";
import { type AnyRun, RUN_OPTIONS, untyped } from "./loop/run_options.ts";
import { OneAtATime } from "./one_at_a_time.ts";
import { rollbackSettings } from "./past/rollback_options.ts";
import { TRAINER_SAVE_OPTIONS, type TrainerSaveOptions } from "./save_options.ts";
import { TimeTravel } from "./time_travel.ts";
import { TRAINER_OPTIONS, type TrainerOptions } from "./trainer_options.ts";
import { trainerText } from "./trainer_text.ts";
import { training } from "./training.ts";
import { restoring, saveOnce } from "./with_ranks.ts";
import { checkTrainOptions, type TrainOptions, type TrainReport } from "./train_options.ts";

export type { TrainerOptions } from "./trainer_options.ts";

/**
 * Trains a model, saves it on the way, and resumes.
 *
 * The tensors are in the store, which stays the caller's; everything else of a run is a few integers and its history.
 * A resumed run has the same bits as one that was never disturbed, on the same adapter and runtime.
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
export class Trainer<In extends Values = Value, Out extends Values = Value, Labels extends Values = Value> {
  /** The tensors of the run. Closing it is up to the caller. */
  readonly store: TensorStore;
  readonly #run: Run;
  readonly #callbacks: CallbackList;
  readonly #knownFields: readonly string[];
  #autoSaver: AutoSaver | undefined;
  readonly #directories: RunDirectories;
  readonly #past: TimeTravel;
  readonly #turns = new OneAtATime();
  #stopping = new AbortController();

  /**
   * Defines the groups `model`, `optimizer.<slot>` and `trainer` in `store`; one trainer a store.
   *
   * @throws TypeError or RangeError for a model, loader or seed that does not fit; nothing runs on the GPU
   * before it is needed.
   */
  constructor(store: TensorStore, options: TrainerOptions<In, Out, Labels>) {
    requireAwaited("The store", store, "TensorStore.open()");
    checkOptions("A trainer", options, TRAINER_OPTIONS, "{ model, loss, optimizer, data }");
    const rollback = rollbackSettings(options.rollback);
    this.store = store;
    this.#callbacks = new CallbackList(options.callbacks ?? []);
    this.#run = new Run(store, pickOptions<AnyRun>(untyped(options), RUN_OPTIONS), this.#callbacks);
    const autoSaver = (): AutoSaver | undefined => this.#autoSaver;
    this.#directories = new RunDirectories(this.#run, autoSaver);
    this.#past = new TimeTravel(this.#run, rollback, { directories: this.#directories, autoSaver });
    this.#knownFields = [...BASE_FIELDS, ...measuredNames(this.#run)];
  }

  static {
    showAs(Trainer.prototype, (trainer) => trainerText(trainer.#run, trainer.#autoSaver?.settings));
  }

  /** @internal What is trained. */
  get run(): Run {
    return this.#run;
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

  /** Losses of every step that were read from the GPU, all of them after `train`, and what every epoch measured. */
  get history(): TrainingHistory {
    return this.#run.history;
  }

  /** The settings of automatic saving, if it was configured. */
  get autoSaveSettings(): AutoSaveSettings | undefined {
    return this.#autoSaver?.settings;
  }

  /**
   * Says when, where and under which names checkpoints are saved while training. What is left out of a second call
   * stays as it is.
   *
   * @param onInvalid Gets each wrong setting, which then stays as it was, and a message when saving is disabled.
   * Without it they are errors.
   * @throws CairnError `unknown_field` for a name with a field that this run never has; TypeError or RangeError.
   */
  autoSave(options: AutoSaveOptions, onInvalid?: (message: string) => void): this {
    this.#turns.requireIdle("change automatic saving");
    const autoSaver = this.#autoSaver ?? new AutoSaver({}, this.#knownFields);
    const before = this.#autoSaver?.settings;
    if (onInvalid === undefined) autoSaver.configure(options);
    else autoSaver.configureLeniently(options, onInvalid);
    this.#autoSaver = autoSaver;
    this.#directories.follow(before, autoSaver.settings);
    return this;
  }

  /**
   * Goes on from the newest checkpoint of this run, in `savePath` or in `directory`, of which every byte is sound, or
   * from the beginning when there is no checkpoint. Those of other runs are passed over.
   *
   * @param options `allow` names what is changed on purpose. `maxFailures` passes over a checkpoint that so often
   * took the process down, and `quarantinesDamaged` moves damaged ones out of the way; see `recover`.
   * @throws CairnError `state_mismatch` when there are sound checkpoints and all are of another model, optimiser,
   * seed, batch size, loss or data: with all differences of the newest. `storage_failed` when there is none and
   * something cannot be read.
   * @throws TypeError when `autoSave()` was not called before and `directory` is not given.
   */
  async resume(options: ResumeOptions = {}): Promise<ResumeReport> {
    checkOptions("resume()", options, RESUME_OPTIONS, "{ maxFailures: 3 }");
    const resume = async (): Promise<ResumeReport> => {
      const { target, engine } = await this.#directories.lookIn("resume", options.directory);
      const { resumeNewest } = await import("./restore.ts");
      return await resumeNewest(target, options, engine);
    };
    return await this.#turns.alone("resume", () => restoring(this.#run, resume));
  }

  /**
   * Goes on after the GPU device was lost, with everything in its memory: puts the store on another device and takes
   * the run from the newest sound checkpoint in `savePath`. On the same adapter the bits are those of an undisturbed
   * run. `train({ onDeviceLost: "rebuild" })` does this by itself.
   *
   * Tensors, groups and ranges from before belong to the lost device: get them from the store again.
   *
   * @throws CairnError `no_checkpoint` when there is no checkpoint to resume from, `no_adapter`. The call may be
   * repeated.
   * @throws TypeError when the device is not lost, or none was given and the store did not open its own.
   */
  async recover(options: RecoverRunOptions = {}): Promise<ResumeReport> {
    checkOptions("recover()", options, RECOVER_RUN_OPTIONS, "{ maxFailures: 3 }");
    return await this.#turns.alone("recover", async () => {
      const { target, engine } = await this.#directories.lookIn("recover", options.directory);
      const { recoverRun } = await import("./restore.ts");
      return await recoverRun(target, options, engine);
    });
  }

  /**
   * Takes the weights, and nothing else, from a checkpoint anywhere: the run begins at step 0 with them. Does nothing
   * and gives null when the run has begun or `savePath` has a checkpoint already, which `resume` goes on from.
   */
  async warmStart(path: string | URL, options: TrainerLoadOptions = {}): Promise<LoadReport | null> {
    checkOptions("warmStart()", options, TRAINER_LOAD_OPTIONS, "{ strict: false }");
    const warm = async (): Promise<LoadReport | null> => {
      if (this.#run.step > 0) return null;
      const { warmStartRun } = await import("./restore.ts");
      return await warmStartRun(await this.#directories.target(), path, options);
    };
    return await this.#turns.alone("warmStart", () => restoring(this.#run, warm));
  }

  /**
   * Trains until `epochs` epochs or `steps` steps of the run are done, whichever comes first. Resolves when the last
   * checkpoint is durable. Returns at once, with `steps: 0` and a warning, when they are done already, after a resume
   * for example.
   *
   * A save that fails does not stop the training: it is in the report, and `onWarning` gets it. When all of them
   * failed, the call rejects with `not_saved` after the training.
   *
   * A step whose loss or gradients are not finite changes no weight. It ends the call with `non_finite`, and the run
   * is as it was before that step; the next call tries it again. With `onNonFinite: "skip"` its batch is left out.
   *
   * @throws CairnError `short_batch`, `non_finite`, `device_lost`, `not_saved` with the last save's error as its
   * cause; `signal.reason`; and what a callback throws.
   */
  async train(options: TrainOptions): Promise<TrainReport> {
    checkTrainOptions(options);
    const context = {
      run: this.#run,
      callbacks: this.#callbacks,
      autoSaver: this.#autoSaver,
      past: this.#past,
      target: () => this.#directories.target(),
    };
    return await this.#turns.alone("train", () => {
      this.#stopping = new AbortController();
      return training({ ...context, stopping: this.#stopping.signal }, options);
    });
  }

  /**
   * Lets the `train` that is running end at its next step: it saves as at the end of a training and resolves with
   * `endedBy: "stop"`. What is being measured is finished first; a batch that is being read is not waited for. Does
   * nothing when none is running.
   */
  stop(): void {
    this.#stopping.abort(new DOMException("The training is stopped", "AbortError"));
  }

  /**
   * Does the next step on its batch without changing anything, op by op, and gives the first result that is not
   * finite: after `non_finite` that of the step that stopped the run. Compiles programs of its own.
   *
   * @returns undefined where every result is finite.
   */
  async findNonFinite(): Promise<NonFiniteResult | undefined> {
    return await this.#turns.alone("findNonFinite", () => this.#run.findNonFinite());
  }

  /** The model, layer by layer, with shapes for a batch: data, of which `console.log` shows a table. */
  summary(): Printable<ModelSummary> {
    this.#turns.requireOpen();
    return this.#run.summary();
  }

  /**
   * What a step consists of: kernels with their layers, bytes moved, operations and times, what is fused, the memory
   * plan beside the least that there could be, the variants that were chosen. Data, of which `console.log` shows
   * tables. Compiles the step where that is not done yet, and changes nothing.
   *
   * @throws CairnError `out_of_memory` where there is no room for a copy of the store, which times take: give
   * `{ times: false }`.
   */
  async explain(options: ExplainOptions = {}): Promise<Printable<StepExplanation>> {
    checkOptions("explain()", options, EXPLAIN_OPTIONS, "{ times: false }");
    return await this.#turns.alone("explain", () => this.#run.explain(options));
  }

  /** Means over every example of `source`, by default the validation data, without dropout. */
  async evaluate(
    source: BatchSource | undefined = this.#run.validation?.data,
    options: EvaluateOptions = {},
  ): Promise<EvaluationReport> {
    checkOptions("evaluate()", options, EVALUATE_OPTIONS, "{ signal }");
    this.#turns.requireStill("evaluate");
    if (source === undefined) throw new TypeError("There is no validation data; give evaluate() a loader");
    return await this.#run.evaluate(source, options.signal);
  }

  /**
   * The model's output for every example of `inputs`, `[examples, …]` in their order, without dropout and with the
   * weights that `evaluate` takes: the averages where the optimiser keeps some. Compiled once for batches of
   * `batchSize` examples and once for a smaller rest. May come between two steps of a training, which goes on with the
   * same bits.
   *
   * @param inputs `[examples, …]`; numbers are made a tensor of the model's dtype. Of several inputs each by its name,
   * and several outputs come by theirs. Of a data source the inputs: in the order of the data where it has `indicesAt`,
   * as a `DataLoader` does, shuffled or not, and else in that of its batches.
   * @throws CairnError `shape_mismatch` or `dtype_mismatch` for inputs of other examples than the model takes, with
   * both; RangeError for an invalid batch size or an index that the model does not take; `signal.reason`.
   */
  async predict(inputs: PredictInputs<In>, options: PredictOptions = {}): Promise<Predicted<Out>> {
    checkOptions("predict()", options, PREDICT_OPTIONS, "{ batchSize: 256 }");
    this.#turns.requireStill("predict");
    return await this.#run.predict(inputs, options) as Predicted<Out>;
  }

  /**
   * What a text goes on with, token by token, by the weights that `predict` takes: for a model that gives scores for
   * the token that may be next, as `Predictor.generate` is, which says what is thrown. May come between two steps of a
   * training, which goes on with the same bits; a text that is under way meanwhile goes on with the newer weights.
   *
   * @param prompt The tokens that the text begins with. They are not given back.
   */
  generate(prompt: ArrayLike<number>, options: GenerateOptions = {}): AsyncGenerator<number, void> {
    const settings = generateSettings("generate()", options);
    this.#turns.requireStill("generate");
    return tokensOfOne(this.#run.generate(tokensOf(prompt), settings));
  }

  /**
   * Saves everything of the run now. Resolves when the checkpoint is durable.
   *
   * @param target A tag in `savePath`, or a path anywhere (with a "/"), ".cairn" or not.
   * @throws CairnError `already_exists`, `invalid_tag`, `storage_failed`, `disk_full`, `device_lost`. No
   * older checkpoint is touched.
   */
  async save(target: string | URL, options: TrainerSaveOptions = {}): Promise<SaveReport> {
    checkOptions("save()", options, TRAINER_SAVE_OPTIONS, "{ overwrite: true }");
    this.#turns.requireStill("save");
    await this.#run.initialize();
    return await saveOnce(this.#run, () => this.#directories.target(), target, options);
  }

  /**
   * Loads a checkpoint by its tag in `savePath`, its step, or its path: the run is what it was when it was
   * saved. With `strict: false`, or options that say which tensors and how, those of the weights and moments are
   * taken, and step, epoch and history stay as they are.
   *
   * @returns What was loaded and what did not fit; with `strict` everything fits.
   * @throws CairnError `not_found`, `state_mismatch`, `checksum_mismatch`; then nothing has changed.
   */
  async load(target: string | number | URL, options: TrainerLoadOptions = {}): Promise<LoadReport> {
    checkOptions("load()", options, TRAINER_LOAD_OPTIONS, "{ strict: false }");
    const load = async (): Promise<LoadReport> => {
      const { loadRun } = await import("./restore.ts");
      return await loadRun(await this.#directories.target(), target, options);
    };
    return await this.#turns.alone("load", () => restoring(this.#run, load));
  }

  /**
   * Goes back by `steps` steps, to one of the states that `rollback: { last, everySteps }` keeps on the GPU: the newest
   * that is at least so far back. Tensors, position in the data, losses, what was measured, learning rates and the
   * states of callbacks are what they were, so that going on gives the same bits. It is a copy on the GPU, without any
   * file. After `non_finite` the run is as it was before that step, and goes back from there.
   *
   * @param steps Default 1: to the newest state before this one.
   * @returns The step that the run is at.
   * @throws TypeError without that option; RangeError where no state is kept that is so far back, with those that are.
   */
  async rollback(steps: number = 1): Promise<number> {
    return await this.#turns.alone("rollback", () => this.#past.rollback(steps));
  }

  /**
   * Makes the run what it was when `step` steps were done: takes the nearest state of it, a checkpoint in `savePath` or
   * one in memory, and does the steps in between again, or all of them from the weights of the seed. Tensors, losses
   * and what was measured have the bits that were there; the losses of those steps are compared. Nothing is saved or
   * told meanwhile; callbacks have the state of the one that it began with, and hear of the losses since when training
   * goes on.
   *
   * @throws RangeError for a step that was never done. CairnError `no_checkpoint` where there is nothing to begin with,
   * `state_mismatch` for a step that is not the same again, `out_of_memory` where there is no room for a copy of the
   * store, `signal.reason`. Then the run is as it was.
   */
  async goto(step: number, options: GotoOptions = {}): Promise<GotoReport> {
    checkOptions("goto()", options, GOTO_OPTIONS, "{ signal }");
    return await this.#turns.alone("goto", () => this.#past.goto(step, options));
  }

  /**
   * Waits for the save under way and frees what the trainer made on the GPU. Its tensors stay in the store, where
   * another trainer may take them over, unless `free` says otherwise. Safe to call twice. A `train` that still runs
   * ends at its next step with the error `closed`.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    const { free = false } = checkOptions("close()", options, CLOSE_OPTIONS, "{ free: true }");
    if (this.#turns.isClosed) return;
    this.#turns.close();
    try {
      await this.#directories.close();
    } finally {
      this.#past.close();
      await this.#run.close(free);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
