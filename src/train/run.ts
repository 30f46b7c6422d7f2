import { checkOptions, type OptionNames } from "../base/options.ts";
import { CairnError } from "../base/errors.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import { Pace } from "../gpu/pace.ts";
import type { Loss } from "../nn/losses.ts";
import type { Layer } from "../nn/layer.ts";
import { accuracy, type Metric } from "../nn/metrics.ts";
import { Model } from "../nn/model.ts";
import type { Optimizer } from "../nn/optim/optimizer.ts";
import type { TensorStore } from "../tensor/tensor_store.ts";
import type { AutoSaverState } from "./auto_saver_state.ts";
import { type BatchSource, fetchBatch, requireExamples, trainingBatches } from "./batch_source.ts";
import { Evaluation, type EvaluationReport } from "./evaluation.ts";
import { TrainingHistory } from "./history.ts";
import { LossRing } from "./loss_ring.ts";
import { checkedSeed, type Seed } from "./seed.ts";
import { TrainStep } from "./train_step.ts";
import { requireSameRun, type TrainingState } from "./training_state.ts";

/** What is trained, on what, and how. */
export interface RunOptions {
  readonly model: Layer;
  readonly loss: Loss;
  readonly optimizer: Optimizer;
  readonly data: BatchSource;
  /** Measured after each epoch. */
  readonly validation?: BatchSource;
  /** Of the initial weights, the order of the data and every random number. Default 0. */
  readonly seed?: Seed;
  /**
   * Measured with the validation loss. Default: `accuracy` where the labels are classes (u32, one an
   * example).
   */
  readonly metrics?: Readonly<Record<string, Metric>>;
  /** Milliseconds from any origin; only differences are used. Default `performance.now`. */
  readonly now?: () => number;
}

/** Every option of {@link RunOptions}. */
export const RUN_OPTIONS: OptionNames<RunOptions> = {
  model: true,
  loss: true,
  optimizer: true,
  data: true,
  validation: true,
  seed: true,
  metrics: true,
  now: true,
};

/**
 * The state of a run and what changes it: the tensors in the store, the number of the step, the history. A
 * step is a pure function of this state, so that a run that was restored goes on with the same bits.
 */
export class Run {
  readonly store: TensorStore;
  readonly model: Model;
  readonly history: TrainingHistory = new TrainingHistory();
  readonly batchesPerEpoch: number;
  /** Examples of the data that it trains on. */
  readonly exampleCount: number;
  readonly seed: Seed;
  readonly metrics: Readonly<Record<string, Metric>>;
  readonly now: () => number;
  readonly #options: RunOptions;
  readonly #ring: LossRing;
  /** Names of the optimiser's groups. */
  readonly #slots: readonly string[];
  /** The device that the programs are compiled for, and that has the run's tensors. */
  #gpu: GpuDevice;
  #pace: Pace;
  /** One for all sources of the same shapes, as a caller may make a new source for each evaluation. */
  readonly #evaluations = new Map<string, Promise<Evaluation>>();
  /** File id of the checkpoint that it was last restored from; none for a run that began afresh. */
  parent: string | undefined;
  #step = 0;
  #walltime = 0;
  #clockStart: number | undefined;
  #initialized: Promise<void> | undefined;
  #trainStep: Promise<TrainStep> | undefined;
  #freeing: Promise<void> = Promise.resolve();
  #isClosed = false;

  /**
   * Defines the groups `model`, `optimizer.<slot>` and `trainer` in the store. Throws what the model throws
   * for a shape that does not fit.
   */
  constructor(store: TensorStore, options: RunOptions) {
    requireParts(options);
    const { model, optimizer, data, validation, seed = 0, metrics } = options;
    this.batchesPerEpoch = trainingBatches(data);
    if (validation !== undefined) requireExamples("The validation data", validation);
    this.exampleCount = data.exampleCount;
    this.seed = checkedSeed(seed);
    this.metrics = metrics ?? defaultMetrics(data);
    if ("loss" in this.metrics) {
      throw new TypeError('A metric cannot be called "loss"; the loss is always measured');
    }
    this.now = options.now ?? (() => performance.now());
    this.store = store;
    this.#options = options;
    this.model = Model.define(store, model, data.inputs, data.batchSize);
    this.#slots = optimizer.slots.map((slot) =>
      store.mirror(`optimizer.${slot}`, this.model.group.name).name
    );
    this.#gpu = store.gpu;
    this.#pace = new Pace(store.gpu);
    this.#ring = new LossRing(store, this.history);
  }

  /** Optimiser updates done. */
  get step(): number {
    return this.#step;
  }

  /** Seconds of training, those of the processes before included. */
  get walltime(): number {
    const running = this.#clockStart === undefined ? 0 : (this.now() - this.#clockStart) / 1000;
    return this.#walltime + Math.max(0, running);
  }

  /** Starts the clock of {@link Run.walltime}, or stops it. */
  setClock(isRunning: boolean): void {
    this.#walltime = this.walltime;
    this.#clockStart = isRunning ? this.now() : undefined;
  }

  /** Whole epochs done. */
  get epoch(): number {
    return Math.floor(this.#step / this.batchesPerEpoch);
  }

  /** The 1-based epoch of the last update; 1 before the first. */
  get currentEpoch(): number {
    return Math.max(1, Math.ceil(this.#step / this.batchesPerEpoch));
  }

  /** What was measured of the weights as they are now: nothing in the middle of an epoch. */
  get measured(): Readonly<Record<string, number>> {
    const last = this.history.lastEpoch;
    return last?.step === this.#step ? last.metrics : {};
  }

  /** Whether an epoch is done that {@link Run.finishEpoch} has not measured. */
  get isEpochUnmeasured(): boolean {
    return this.history.epochs.length < this.epoch;
  }

  /** Names of the groups that hold weights and moments. */
  get trainedGroups(): readonly string[] {
    return [this.model.group.name, ...this.#slots];
  }

  /** Gives the parameters their first values, once. Nothing happens after a restore. */
  async initialize(): Promise<void> {
    this.#requireTensors();
    // One promise for all callers: a second initialisation could undo the first step.
    this.#initialized ??= this.model.initialize(this.seed);
    await this.#initialized;
  }

  /** Initialises and compiles, so that the first step takes as long as the others. */
  async prepare(): Promise<void> {
    await this.initialize();
    await this.#compiledStep();
  }

  /** One update: submits it and, almost always, waits for nothing. Throws `short_batch`. */
  async trainStep(): Promise<void> {
    const trainStep = await this.#compiledStep();
    const step = this.#step;
    const { data } = this.#options;
    const request = {
      seed: this.seed,
      epoch: Math.floor(step / this.batchesPerEpoch),
      position: step % this.batchesPerEpoch,
    };
    const batch = await fetchBatch(data, request, data.batchSize);
    this.#requireOpen();
    trainStep.run(batch, step, this.seed, this.#ring.slotOf(step));
    // In the tick of the submit, so that whoever takes a snapshot in between sees tensors and number agree.
    this.#step = step + 1;
    await this.#ring.advance(this.#step);
    await this.#pace.afterSubmit();
  }

  /** Makes the history complete. Waits for the GPU. */
  async readLosses(): Promise<void> {
    await this.#ring.drain(this.#step);
  }

  /** Means over every example of `source`. Throws a `RangeError` when it has none. */
  async evaluate(source: BatchSource, signal?: AbortSignal): Promise<EvaluationReport> {
    requireExamples("The data to evaluate on", source);
    await this.initialize();
    this.#requireOpen();
    const { loss } = this.#options;
    const key = shapesOf(source);
    const evaluation = this.#evaluations.get(key) ??
      Evaluation.compile(this.model, source, { loss, metrics: this.metrics });
    this.#evaluations.set(key, evaluation);
    evaluation.catch(() => this.#evaluations.delete(key));
    return await (await evaluation).run(source, this.seed, { signal });
  }

  /** Measures the epoch that is done and adds it to the history. */
  async finishEpoch(signal?: AbortSignal): Promise<void> {
    await this.readLosses();
    const epoch = this.history.epochs.length + 1;
    const end = epoch * this.batchesPerEpoch;
    const metrics: Record<string, number> = { loss: this.history.meanLoss(end - this.batchesPerEpoch, end) };
    const { validation } = this.#options;
    if (validation !== undefined) {
      const report = await this.evaluate(validation, signal);
      metrics.val_loss = report.loss;
      for (const [name, value] of Object.entries(report.metrics)) metrics[`val_${name}`] = value;
    }
    this.history.addEpoch({ epoch, step: end, metrics });
  }

  /** Everything but the tensors, as it is now. */
  state(autoSaver: AutoSaverState | null): TrainingState {
    const known = Math.min(this.history.length, LossRing.historyLengthAt(this.#step));
    return {
      step: this.#step,
      epoch: this.epoch,
      loader: { epoch: this.epoch, position: this.#step % this.batchesPerEpoch },
      ...this.#identity(),
      exampleCount: this.exampleCount,
      history: { loss: this.history.loss.subarray(0, known), epochs: this.history.epochs },
      walltime: this.walltime,
      autoSaver,
    };
  }

  /** Throws `state_mismatch` unless `state` belongs to a run like this one. Changes nothing. */
  requireSame(state: TrainingState, checkpoint: string): void {
    requireSameRun(state, this.#identity(), checkpoint);
    if (
      state.step - state.history.loss.length <= LossRing.capacity && state.step >= state.history.loss.length
    ) return;
    throw new CairnError(
      "state_mismatch",
      `Cannot resume from "${checkpoint}": it has ${state.history.loss.length} losses for ${state.step} steps; ` +
        `all but the last ${LossRing.capacity} should be there`,
      { details: { tag: checkpoint } },
    );
  }

  /**
   * Everything of going on from `state` that takes time or may fail.
   *
   * @param losses Of all its steps.
   * @returns What makes this run that one, in the tick in which the tensors change. It never throws.
   */
  async toRestore(
    state: TrainingState,
    losses: Float32Array,
    variants: Readonly<Record<string, string>> = {},
  ): Promise<() => void> {
    // Losses of the run before, of which the last may still be on their way.
    await this.#ring.settled();
    // One that is under way would write over what is loaded. How it ends does not matter by now.
    await this.#initialized?.catch(() => {});
    return () => {
      this.#followStore();
      this.#initialized = Promise.resolve();
      this.#step = state.step;
      this.#walltime = state.walltime;
      this.history.replace(losses, state.history.epochs);
      this.#useVariants(variants);
    };
  }

  /**
   * Puts the store on another device after the one it was on was lost. Nothing runs until
   * {@link Run.toRestore}, as all tensors are zero.
   */
  async rebuild(gpu?: GpuDevice): Promise<void> {
    // What is under way fails on the lost device first.
    await this.#ring.settled();
    await this.store.rebuild(gpu);
  }

  /** Whether the tensors are gone, with the device or because the store was put on another one. */
  get isLost(): boolean {
    return this.store.gpu.isLost || this.store.gpu !== this.#gpu;
  }

  /** Frees what is not the store's. Nothing runs afterwards. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#freePrograms();
    await this.#freeing;
  }

  /** Forgets what was compiled, and frees it behind. */
  #freePrograms(): void {
    const closing = Promise.allSettled([this.#trainStep, ...this.#evaluations.values()]);
    this.#trainStep = undefined;
    this.#evaluations.clear();
    this.#freeing = this.#freeing.then(async () => {
      for (const compiled of await closing) if (compiled.status === "fulfilled") compiled.value?.close();
    });
  }

  #identity(): Pick<TrainingState, "batchesPerEpoch" | "batchSize" | "seed" | "optimizer"> {
    const { data, optimizer } = this.#options;
    const { batchesPerEpoch, seed } = this;
    return { batchesPerEpoch, batchSize: data.batchSize, seed, optimizer: optimizer.name };
  }

  #requireOpen(): void {
    if (!this.#isClosed) return;
    throw new CairnError("closed", "Cannot go on: the trainer was closed meanwhile; make a new one");
  }

  /** What was compiled for a device that the store is no longer on is forgotten. */
  #followStore(): void {
    const { gpu } = this.store;
    if (gpu === this.#gpu) return;
    this.#freePrograms();
    this.#pace = new Pace(gpu);
    this.#gpu = gpu;
  }

  /** A store that was put on another device is all zeros: nobody should train or save that. */
  #requireTensors(): void {
    if (this.store.gpu === this.#gpu) return;
    throw new CairnError(
      "device_lost",
      "The store was put on another GPU device and its tensors are zero: " +
        "go on from a checkpoint with recover(), resume() or load()",
    );
  }

  async #compiledStep(): Promise<TrainStep> {
    this.#requireOpen();
    this.#requireTensors();
    const { loss, optimizer, data } = this.#options;
    this.#trainStep ??= TrainStep.compile({
      model: this.model,
      loss,
      optimizer,
      slots: this.#slots.map((name) => this.store.group(name)),
      data,
    });
    return await this.#trainStep;
  }

  /**
   * Other variants of the kernels round differently, so a resumed run takes those of the run that it
   * continues.
   */
  #useVariants(variants: Readonly<Record<string, string>>): void {
    const own = this.store.variants;
    const isSame = Object.entries(variants).every(([kernel, variant]) => own.get(kernel) === variant);
    if (isSame) return;
    this.#freePrograms();
    for (const [kernel, variant] of Object.entries(variants)) own.set(kernel, variant);
  }
}

/** A `TypeError` that names the part of a run that is missing or is something else. */
function requireParts(options: RunOptions): void {
  const { model, loss, optimizer, data, validation = data } = checkOptions(
    "A trainer",
    options,
    RUN_OPTIONS,
    "{ model, loss, optimizer, data }",
  );
  const requirePart = (isOne: boolean, what: string, found: unknown): void => {
    if (!isOne) throw new TypeError(`${what}, found ${found === null ? "null" : typeof found}`);
  };
  const isSource = (source: BatchSource | undefined): boolean => typeof source?.batchAt === "function";
  requirePart(typeof model === "function", "model is a layer", model);
  requirePart(typeof loss === "function", "loss is a function, like nn.mse()", loss);
  const isOptimizer = typeof optimizer?.update === "function";
  requirePart(isOptimizer, "optimizer is one, like optim.adamw({ learningRate: 1e-3 })", optimizer);
  requirePart(isSource(data), "data is a DataLoader or a BatchSource", data);
  requirePart(isSource(validation), "validation is a DataLoader or a BatchSource", validation);
}

/** What an evaluation is compiled for. */
function shapesOf({ batchSize, inputs, labels }: BatchSource): string {
  return JSON.stringify([batchSize, inputs.dtype, inputs.shape, labels.dtype, labels.shape]);
}

function defaultMetrics(data: BatchSource): Readonly<Record<string, Metric>> {
  return data.labels.dtype === "u32" && data.labels.shape.length === 0 ? { accuracy: accuracy() } : {};
}
