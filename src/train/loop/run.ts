import { CairnError } from "../../base/errors.ts";
import type { GpuDevice } from "../../gpu/gpu_device.ts";
import { Pace } from "../../gpu/pace.ts";
import type { Metric } from "../../nn/metrics/metric.ts";
import type { NonFinitePolicy } from "../../kernels/optimizer/step_verdict.ts";
import { Model, traceModel } from "../../nn/model.ts";
import type { HostTensor } from "../../tensor/host_tensor.ts";
import type { TensorStore } from "../../tensor/tensor_store.ts";
import type { AutoSaverState } from "./auto_saver_state.ts";
import { type Batch, type BatchRequest, type BatchSource, fetchBatch } from "../../data/batch_source.ts";
import type { EvaluationReport } from "../measure/evaluation.ts";
import type { PredictInputs, PredictOptions } from "../measure/prediction_source.ts";
import { BatchOrder } from "./batch_order.ts";
import { findNonFinite, type NonFiniteResult } from "./find_non_finite.ts";
import { type StepColumns, TrainingHistory } from "./history.ts";
import { labelsOf } from "../measure/batch_loss.ts";
import { requireInRange } from "../measure/index_check.ts";
import { slotGroup } from "../../tensor/group_names.ts";
import { columnsOf, type KeptTerms, requireOtherNames } from "../step/kept_terms.ts";
import { LossRing } from "./loss_ring.ts";
import { defaultMetrics, requireOptions, type RunOptions } from "./run_options.ts";
import { checkedSeed, type Seed } from "../../data/seed.ts";
import { ParameterRules } from "../step/parameter_rules.ts";
import { lossOfStep, stepValues, unreachedWarning } from "../step/step_values.ts";
import type { TrainStep } from "../step/train_step.ts";
import type { RunDifference } from "./run_identity.ts";
import { RunPrograms } from "./run_programs.ts";
import { RunRecord } from "./run_record.ts";
import type { TrainingState } from "./training_state.ts";
import { Walltime } from "./walltime.ts";
import { validationOf, type ValidationSettings } from "./validation_settings.ts";

/**
 * The state of a run and what changes it: the tensors in the store, the number of the step, the history. A
 * step is a pure function of this state, so that a run that was restored goes on with the same bits.
 */
export class Run {
  readonly store: TensorStore;
  readonly model: Model;
  readonly history: TrainingHistory = new TrainingHistory();
  readonly seed: Seed;
  /** What its checkpoints say that it is. */
  readonly record: RunRecord;
  readonly metrics: Readonly<Record<string, Metric>>;
  readonly validation: ValidationSettings | undefined;
  /** Which batch each of its steps has. */
  readonly order: BatchOrder;
  /** What is kept of each step beside its loss. */
  readonly kept: KeptTerms;
  readonly now: () => number;
  readonly #options: RunOptions;
  readonly #ring: LossRing;
  readonly #rules: ParameterRules;
  /** The device that the programs are compiled for, and that has the run's tensors. */
  #gpu: GpuDevice;
  #pace: Pace;
  readonly #programs: RunPrograms;
  /** File id of the checkpoint that it was last restored from; none for a run that began afresh. */
  parent: string | undefined;
  #step = 0;
  readonly #walltime: Walltime;
  #initialized: Promise<void> | undefined;
  #hasToldUnreached = false;
  #isClosed = false;

  /**
   * Defines the groups `model`, `optimizer.<slot>` and `trainer` in the store. Throws what the model throws
   * for a shape that does not fit.
   */
  constructor(store: TensorStore, options: RunOptions) {
    requireOptions(options);
    const { model, optimizer, data, validation, seed = 0, metrics } = options;
    this.validation = validationOf(validation);
    this.seed = checkedSeed(seed);
    this.order = new BatchOrder(data, this.seed);
    this.record = new RunRecord(options, this.seed, this.order);
    this.metrics = metrics ?? defaultMetrics(data);
    this.now = options.now ?? (() => performance.now());
    this.#walltime = new Walltime(this.now);
    this.store = store;
    this.#options = options;
    const [size = data.batchSize] = this.order.sizes;
    // Before anything is in the store, so that a loss that does not fit leaves nothing there.
    const trace = traceModel(model, data.inputs, size, true);
    this.kept = lossOfStep(options, trace, labelsOf(data, size)).keptTerms;
    requireOtherNames(this.metrics, this.kept);
    this.#rules = new ParameterRules(optimizer, trace.parameters);
    this.model = Model.define(
      store,
      model,
      data.inputs,
      size,
      (parameters) => this.#rules.laidOut(parameters),
    );
    this.#rules.defineSlots(this.model);
    this.#gpu = store.gpu;
    this.#pace = new Pace(store.gpu);
    this.#ring = new LossRing(store, this.history, columnsOf(this.kept));
    this.#programs = new RunPrograms(options, this.model, this.#rules, this.#ring, this.metrics);
  }

  /** What it is trained on. */
  get data(): BatchSource {
    return this.#options.data;
  }

  /** Steps done: optimiser updates, and batches that were skipped. */
  get step(): number {
    return this.#step;
  }

  /** Seconds of training, those of the processes before included. */
  get walltime(): number {
    return this.#walltime.seconds;
  }

  /** Starts the clock of {@link Run.walltime}, or stops it. */
  setClock(isRunning: boolean): void {
    this.#walltime.run(isRunning);
  }

  /** Whole epochs done. */
  get epoch(): number {
    return this.order.epochsAfter(this.#step);
  }

  /** The 1-based epoch of the last update; 1 before the first. */
  get currentEpoch(): number {
    return this.order.epochOfLast(this.#step);
  }

  /** Steps done when `epochs` epochs are. */
  stepsAfter(epochs: number): number {
    return this.order.stepsAfter(epochs);
  }

  /** Whether no epoch has begun that is not done. */
  get isAtEndOfEpoch(): boolean {
    return this.requestOf(this.#step).position === 0;
  }

  /** What was measured of the weights as they are now: nothing between two validations. */
  get measured(): Readonly<Record<string, number>> {
    return this.history.measuredAt(this.#step)?.metrics ?? {};
  }

  /** Whether an epoch is done and not measured yet. */
  get isEpochUnmeasured(): boolean {
    return this.history.epochs.length < this.epoch;
  }

  /** Names of the groups that hold the optimiser's tensors. */
  get slots(): readonly string[] {
    return this.#rules.slots.map(slotGroup);
  }

  /** Names of the groups that hold weights and moments. */
  get trainedGroups(): readonly string[] {
    return [this.model.group.name, ...this.slots];
  }

  /** Gives the parameters their first values, once. Nothing happens after a restore. */
  async initialize(): Promise<void> {
    this.#requireTensors();
    // One promise for all callers: a second initialisation could undo the first step.
    this.#initialized ??= this.model.initialize(this.seed);
    await this.#initialized;
  }

  /**
   * Initialises and compiles, so that the first step takes as long as the others. Where a step that was not finite
   * stopped the run, that step is the next one, anew.
   */
  async prepare(): Promise<void> {
    await this.record.complete();
    await this.initialize();
    await this.#compiledStep();
    await this.settle();
    this.#ring.release();
  }

  /** The warning about parameters that the loss does not reach, once. */
  async unreachedWarning(): Promise<string | undefined> {
    const { unreached } = await this.#compiledStep();
    if (this.#hasToldUnreached) return undefined;
    this.#hasToldUnreached = true;
    return unreachedWarning(unreached);
  }

  /**
   * One step: submits it and, almost always, waits for nothing.
   *
   * @throws CairnError `short_batch`; RangeError for a label that is no class; `non_finite` when it is known by now
   * that an earlier step stopped the run.
   */
  async trainStep(nonFinite: NonFinitePolicy = "stop"): Promise<void> {
    const trainStep = await this.#compiledStep();
    this.#requireUnstopped();
    const step = this.#step;
    const batch = await this.#batchOf(step, trainStep);
    this.#requireOpen();
    trainStep.run(batch, { step, seed: this.seed, nonFinite, size: this.order.sizeOf(step) });
    // In the tick of the submit, so that in every snapshot tensors and number agree.
    this.#step = step + 1;
    await this.#ring.advance(this.#step);
    await this.#pace.afterSubmit();
  }

  /** Makes the history complete. Waits for the GPU. Throws `non_finite` when a step stopped the run. */
  async readLosses(): Promise<void> {
    await this.#ring.drain(this.#step);
    this.#requireUnstopped();
  }

  /** Makes the history complete, and the number of the step what the GPU says: of the last whole one. */
  async settle(): Promise<void> {
    await this.#ring.drain(this.#step);
    this.#step = this.#ring.stoppedStep ?? this.#step;
  }

  /** The batch of step `step`, from 0. */
  requestOf(step: number): BatchRequest {
    return this.order.requestOf(step);
  }

  /**
   * Does the next step once more without changing anything, op by op, and gives the first result that is not finite.
   *
   * @returns undefined where all are finite.
   */
  async findNonFinite(): Promise<NonFiniteResult | undefined> {
    await this.initialize();
    this.#requireOpen();
    await this.settle();
    const step = this.#step;
    const size = this.order.sizeOf(step);
    const values = stepValues({ ...this.#options, model: this.model, rules: this.#rules, size });
    const batch = await this.#batchOf(step, await this.#compiledStep());
    return await findNonFinite(this.model, values, batch, { seed: this.seed, step });
  }

  async #batchOf(step: number, { ranges }: TrainStep): Promise<Batch> {
    const { data } = this.#options;
    const request = this.requestOf(step);
    const batch = await fetchBatch(data, request, this.order.sizeOf(step));
    requireInRange(ranges, data, batch, request);
    return batch;
  }

  #requireUnstopped(): void {
    const stopped = this.#ring.stoppedStep;
    if (stopped === undefined) return;
    this.#step = stopped;
    throw new CairnError("non_finite", `Step ${stopped + 1} is not finite`, {
      details: { value: stopped + 1 },
    });
  }

  /** Means over every example of `source`. Throws a `RangeError` when it has none. */
  async evaluate(source: BatchSource, signal?: AbortSignal): Promise<EvaluationReport> {
    await this.initialize();
    this.#requireOpen();
    return await this.#programs.evaluate(source, this.order.key, signal);
  }

  /** Makes the averages of the weights what the weights are, for an optimiser that keeps some. */
  beginAverage(): void {
    this.#rules.beginAverage(this.model);
  }

  /** The model's outputs for `inputs`, in their order. */
  async predict(inputs: PredictInputs, options: PredictOptions): Promise<HostTensor> {
    await this.initialize();
    this.#requireOpen();
    const { batchSize } = this.data;
    return await this.#programs.predict(inputs, { key: this.order.key, batchSize }, options);
  }

  /** Everything but the tensors, as it is now. */
  state(autoSaver: AutoSaverState | null): TrainingState {
    const known = Math.min(this.history.length, LossRing.historyLengthAt(this.#step));
    return {
      step: this.#step,
      epoch: this.epoch,
      loader: { epoch: this.epoch, position: this.requestOf(this.#step).position },
      ...this.record.identity,
      orderVersion: this.order.key.orderVersion,
      changes: this.record.changes,
      history: {
        loss: this.history.loss.subarray(0, known),
        columns: this.history.columnsBefore(known),
        epochs: this.history.epochs,
        validations: this.history.validations,
      },
      walltime: this.walltime,
      autoSaver,
    };
  }

  /**
   * Everything of going on from `state` that takes time or may fail.
   *
   * @param from What its checkpoint says besides: the losses of all its steps and what else is kept of them, how many
   * updates its optimiser has done where its tensors do not say that, and what is changed from there on, on purpose.
   * @returns What makes this run that one, in the tick in which the tensors change. It never throws.
   */
  async toRestore(
    state: TrainingState,
    { losses, columns, updates, variants, differences }: {
      readonly losses: Float32Array;
      readonly columns: StepColumns;
      readonly updates: number | undefined;
      readonly variants: Readonly<Record<string, string>>;
      readonly differences: readonly RunDifference[];
    },
  ): Promise<() => void> {
    // Losses of the run before, of which the last may still be on their way.
    await this.#ring.settled();
    // One that is under way would write over what is loaded. How it ends does not matter by now.
    await this.#initialized?.catch(() => {});
    return () => {
      this.#followStore();
      this.#initialized = Promise.resolve();
      this.#step = state.step;
      this.#walltime.set(state.walltime);
      const sizes = this.order.sizes.length;
      this.order.goOnFrom(state);
      if (this.order.sizes.length !== sizes) this.#programs.free();
      this.record.goOnFrom(state, differences);
      this.history.replace(losses, state.history.epochs, state.history.validations, columns);
      if (updates === undefined) this.#ring.forget();
      else this.#ring.begin(updates);
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
    this.#programs.free();
    await this.#programs.freed();
  }

  #requireOpen(): void {
    if (!this.#isClosed) return;
    throw new CairnError("closed", "Cannot go on: the trainer was closed meanwhile; make a new one");
  }

  /** What was compiled for a device that the store is no longer on is forgotten. */
  #followStore(): void {
    const { gpu } = this.store;
    if (gpu === this.#gpu) return;
    this.#programs.free();
    this.#pace = new Pace(gpu);
    this.#gpu = gpu;
  }

  /** A store that was put on another device is all zeros, and must not be trained or saved. */
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
    return await this.#programs.step(this.order.sizes);
  }

  /**
   * Other variants of the kernels round differently, so a resumed run takes those of the run that it
   * continues.
   */
  #useVariants(variants: Readonly<Record<string, string>>): void {
    const own = this.store.variants;
    const isSame = Object.entries(variants).every(([kernel, variant]) => own.get(kernel) === variant);
    if (isSame) return;
    this.#programs.free();
    for (const [kernel, variant] of Object.entries(variants)) own.set(kernel, variant);
  }
}
