import type { Printable } from "../../base/printable.ts";
import type { CompileListener } from "../../gpu/compile_pipelines.ts";
import type { GpuDevice } from "../../gpu/gpu_device.ts";
import type { GenerateSettings } from "../../generate/generate_options.ts";
import type { GeneratedToken } from "../../generate/write_texts.ts";
import type { Values } from "../../graph/values.ts";
import type { Named } from "../../base/parts/named.ts";
import type { NonFinitePolicy } from "../../kernels/optimizer/step_verdict.ts";
import type { Model } from "../../nn/model.ts";
import type { HostTensor } from "../../tensor/host_tensor.ts";
import type { TensorStore } from "../../tensor/tensor_store.ts";
import type { AutoSaverState } from "./auto_saver_state.ts";
import type { CallbackStates } from "./callback_states.ts";
import { BatchFeed } from "../../data/batch_feed.ts";
import type { BatchReader, BatchRequest, BatchSource } from "../../data/batch_source.ts";
import { fetchBatch } from "../../data/fetch_batch.ts";
import type { EvaluationReport } from "../measure/evaluation.ts";
import type { AnyMetrics } from "../measure/measures.ts";
import type { PredictInputs, PredictOptions } from "../measure/prediction_source.ts";
import { BatchOrder } from "./batch_order.ts";
import type { NonFiniteResult } from "./find_non_finite.ts";
import type { StepColumns, TrainingHistory } from "./history.ts";
import { type InputRanges, requireBatchInRange } from "../measure/index_check.ts";
import { slotGroup } from "../../tensor/group_names.ts";
import { type KeptTerms, requireOtherNames } from "../step/kept_terms.ts";
import { LossRing } from "./loss_ring.ts";
import { type AnyRun, defaultMetrics, requireOptions } from "./run_options.ts";
import { checkedSeed, type Seed } from "../../data/seed.ts";
import type { ExplainOptions, StepExplanation } from "../step/explain_step.ts";
import type { ModelSummary } from "../step/summarize_model.ts";
import { unreachedWarning } from "../step/step_values.ts";
import type { RateScale } from "./rate_scales.ts";
import type { RunDifference } from "./run_identity.ts";
import { RunPrograms } from "./run_programs.ts";
import { RunRecord } from "./run_record.ts";
import type { SizedBatch } from "../step/step_parts.ts";
import { StepRunner } from "./step_runner.ts";
import type { TrainingState } from "./training_state.ts";
import { Walltime } from "./walltime.ts";
import { validationOf, type ValidationSettings } from "./validation_settings.ts";

/**
 * The state of a run and what changes it: the tensors in the store, the number of the step, the history. A
 * step is a pure function of this state, so that a run that was restored goes on with the same bits.
 */
export class Run {
  readonly store: TensorStore;
  readonly seed: Seed;
  /** What its checkpoints say that it is. */
  readonly record: RunRecord;
  readonly metrics: AnyMetrics;
  readonly validation: ValidationSettings | undefined;
  /** Which batch each of its steps has. */
  readonly order: BatchOrder;
  readonly now: () => number;
  readonly #options: AnyRun;
  readonly steps: StepRunner;
  readonly #programs: RunPrograms;
  /** The batches of the training that runs. */
  readonly #feed: BatchFeed;
  /** The step before which that training ends. */
  #lastStep = 0;
  /** File id of the checkpoint that it was last restored from; none for a run that began afresh. */
  parent: string | undefined;
  /** Tag of that checkpoint, until a training was told. */
  resumedFrom: string | undefined;
  readonly callbacks: CallbackStates | undefined;
  readonly #walltime: Walltime;
  #hasToldUnreached = false;
  #restores = 0;

  /**
   * Defines the groups `model`, `optimizer.<slot>` and `trainer` in the store. Throws what the model throws
   * for a shape that does not fit.
   *
   * @param callbacks What checkpoints keep of them is a part of its state.
   */
  constructor(store: TensorStore, options: AnyRun, callbacks?: CallbackStates) {
    requireOptions(options);
    this.callbacks = callbacks;
    const { data, validation, seed = 0, metrics } = options;
    this.validation = validationOf(validation);
    this.seed = checkedSeed(seed);
    this.order = new BatchOrder(data, this.seed);
    this.record = new RunRecord(options, this.seed, this.order);
    this.now = options.now ?? (() => performance.now());
    this.#walltime = new Walltime(this.now);
    this.store = store;
    this.#options = options;
    let measured: AnyMetrics = {};
    this.steps = new StepRunner(store, options, {
      kind: "Trainer",
      seed: this.seed,
      sizes: () => this.order.sizes,
      check: (kept, output) => {
        measured = metrics ?? defaultMetrics(data, output);
        requireOtherNames(measured, kept);
      },
    });
    this.metrics = measured;
    this.#programs = new RunPrograms(options, this.steps, this.metrics);
    this.#feed = new BatchFeed(data, (step) => step < this.#lastStep ? this.requestOf(step) : undefined);
  }

  get model(): Model {
    return this.steps.model;
  }

  get history(): TrainingHistory {
    return this.steps.history;
  }

  /** What is kept of each step beside its loss. */
  get kept(): KeptTerms {
    return this.steps.kept;
  }

  /** What it is trained on. */
  get data(): BatchSource {
    return this.#options.data;
  }

  /** Steps done: optimiser updates, and batches that were skipped. */
  get step(): number {
    return this.steps.step;
  }

  /** Seconds of training, those of the processes before included. */
  get walltime(): number {
    return this.#walltime.seconds;
  }

  /** How often it was made what it was at another moment. */
  get restores(): number {
    return this.#restores;
  }

  /** Starts the clock of {@link Run.walltime}, or stops it. */
  setClock(isRunning: boolean): void {
    this.#walltime.run(isRunning);
  }

  /** Whole epochs done. */
  get epoch(): number {
    return this.order.epochsAfter(this.step);
  }

  /** The 1-based epoch of the last update; 1 before the first. */
  get currentEpoch(): number {
    return this.order.epochOfLast(this.step);
  }

  /** The learning rate of step `step`, from 0; undefined for an optimiser that does not tell. */
  learningRateAt(step: number): number | undefined {
    const rate = this.#options.optimizer.learningRate?.(step);
    return rate === undefined ? undefined : rate * (this.steps.rates.schedule?.(step) ?? 1);
  }

  /** Multiplies all learning rates from the next step on. */
  scaleLearningRate(factor: number): void {
    this.steps.rates.multiply(this.step, factor);
  }

  /** What {@link Run.scaleLearningRate} made of the rates, from which step on each. */
  get rateScales(): readonly RateScale[] {
    return this.steps.rates.changes;
  }

  set rateScales(changes: readonly RateScale[]) {
    this.steps.rates.replace(changes);
  }

  /** Steps done when `epochs` epochs are. */
  stepsAfter(epochs: number): number {
    return this.order.stepsAfter(epochs);
  }

  /** Whether no epoch has begun that is not done. */
  get isAtEndOfEpoch(): boolean {
    return this.requestOf(this.step).position === 0;
  }

  /** What was measured of the weights as they are now: nothing between two validations. */
  get measured(): Readonly<Record<string, number>> {
    return this.history.measuredAt(this.step)?.metrics ?? {};
  }

  /** Whether an epoch is done and not measured yet. */
  get isEpochUnmeasured(): boolean {
    return this.history.epochs.length < this.epoch;
  }

  /** Names of the groups that hold the optimiser's tensors. */
  get slots(): readonly string[] {
    return this.steps.rules.slots.map(slotGroup);
  }

  /** Names of the groups that hold weights and moments. */
  get trainedGroups(): readonly string[] {
    return [this.model.group.name, ...this.slots];
  }

  /** Gives the parameters their first values, once. Nothing happens after a restore. */
  async initialize(): Promise<void> {
    await this.steps.initialize();
  }

  /**
   * Initialises and compiles, so that the first step takes as long as the others. Where a step that was not finite
   * stopped the run, that step is the next one, anew.
   *
   * @param onCompile Told of the kernels where they are compiled now.
   */
  async prepare(onCompile?: CompileListener): Promise<void> {
    await this.record.complete();
    await this.initialize();
    await this.steps.programs(onCompile);
    await this.steps.retry();
  }

  /** The warning about parameters that the loss does not reach, once. */
  async unreachedWarning(): Promise<string | undefined> {
    const { unreached } = await this.steps.programs();
    if (this.#hasToldUnreached) return undefined;
    this.#hasToldUnreached = true;
    return unreachedWarning(unreached);
  }

  /**
   * One step: submits it and, almost always, waits for nothing.
   *
   * @throws CairnError `short_batch`; RangeError for a label that is no class; `non_finite` when it is known by now
   * that an earlier step stopped the run; `signal.reason` when it is aborted before the batch is there, so that
   * nothing was done.
   */
  async trainStep(nonFinite: NonFinitePolicy = "stop", signal?: AbortSignal): Promise<void> {
    const { step } = this;
    const from = { batchAt: (request: BatchRequest) => this.#feed.take(step, request, signal) };
    await this.steps.run(this.order.sizeOf(step), nonFinite, (ranges) => this.#batchOf(step, ranges, from));
  }

  /** Says that steps up to and without `lastStep` follow, so that no batch beyond them is asked for ahead. */
  expectSteps(lastStep: number): void {
    this.#lastStep = lastStep;
  }

  /** Gives back what the data hold open. The next step opens it again. False where they hang and are left behind. */
  async closeBatches(): Promise<boolean> {
    return await this.#feed.close();
  }

  /** Makes the history complete. Waits for the GPU. Throws `non_finite` when a step stopped the run. */
  async readLosses(): Promise<void> {
    await this.steps.readLosses();
  }

  /** Makes the history complete, and the number of the step what the GPU says: of the last whole one. */
  async settle(): Promise<void> {
    await this.steps.settle();
  }

  /** The batch of step `step`, from 0. */
  requestOf(step: number): BatchRequest {
    return this.order.requestOf(step);
  }

  /** Does the next step once more, op by op, without changing anything: the first result that is not finite, if any. */
  async findNonFinite(): Promise<NonFiniteResult | undefined> {
    return await this.steps.findNonFinite((step, ranges) => this.#sizedBatchOf(step, ranges));
  }

  /** The model, layer by layer. */
  summary(): Printable<ModelSummary> {
    return this.steps.summary();
  }

  /** What a step consists of, with the times of its kernels on the next batch where that is wanted. */
  async explain({ times = true }: ExplainOptions): Promise<Printable<StepExplanation>> {
    return await this.steps.explain(
      times ? (step, ranges) => this.#sizedBatchOf(step, ranges) : undefined,
    );
  }

  async #sizedBatchOf(step: number, ranges: InputRanges): Promise<SizedBatch> {
    return { batch: await this.#batchOf(step, ranges), size: this.order.sizeOf(step) };
  }

  async #batchOf(step: number, ranges: InputRanges, from?: Pick<BatchReader, "batchAt">) {
    const { data } = this.#options;
    const request = this.requestOf(step);
    const batch = await fetchBatch(data, request, this.order.sizeOf(step), from);
    requireBatchInRange(ranges, data, batch, request);
    return batch;
  }

  /** Means over every example of `source`. Throws a `RangeError` when it has none. */
  async evaluate(source: BatchSource, signal?: AbortSignal): Promise<EvaluationReport> {
    return await this.#programs.evaluate(source, this.order.key, signal);
  }

  /** Makes the averages of the weights what the weights are, for an optimiser that keeps some. */
  beginAverage(): void {
    this.steps.rules.beginAverage(this.model);
  }

  /** The model's outputs for `inputs`, in their order. */
  async predict(inputs: PredictInputs<Values>, options: PredictOptions): Promise<Named<HostTensor>> {
    const { batchSize } = this.data;
    return await this.#programs.predict(inputs, { key: this.order.key, batchSize }, options);
  }

  /** What a text that begins with `prompt` goes on with, token by token. */
  generate(prompt: readonly number[], settings: GenerateSettings): AsyncGenerator<GeneratedToken, void> {
    return this.#programs.generate([prompt], settings);
  }

  /**
   * Everything but the tensors, as it is now.
   *
   * @param known Losses of how many steps it has. Unless given, those that a checkpoint has beside its ring.
   */
  state(
    autoSaver: AutoSaverState | null,
    known: number = Math.min(this.history.length, LossRing.historyLengthAt(this.step)),
  ): TrainingState {
    return {
      step: this.step,
      epoch: this.epoch,
      loader: { epoch: this.epoch, position: this.requestOf(this.step).position },
      ...this.record.identity,
      orderVersion: this.order.key.orderVersion,
      changes: this.record.changes,
      history: {
        loss: this.history.lossesBetween(0, known),
        columns: this.history.columnsBefore(known),
        epochs: this.history.epochs,
        validations: this.history.validations,
      },
      walltime: this.walltime,
      autoSaver,
      rateScales: this.rateScales,
      callbacks: this.callbacks?.saved(),
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
    await this.steps.quiet();
    return () => {
      const { step, history } = state;
      this.#restores++;
      const isStale = this.steps.goOnFrom({ step, losses, columns, updates, variants }, history);
      this.#walltime.set(state.walltime);
      const sizes = this.order.sizes.length;
      this.order.goOnFrom(state);
      if (this.order.sizes.length !== sizes) this.steps.free();
      if (isStale) this.#programs.free();
      this.record.goOnFrom(state, differences);
      this.steps.rates.replace(state.rateScales ?? []);
      this.callbacks?.take(state.callbacks, step);
    };
  }

  /**
   * Puts the store on another device after the one it was on was lost. Nothing runs until
   * {@link Run.toRestore}, as all tensors are zero.
   */
  async rebuild(gpu?: GpuDevice): Promise<void> {
    // What is under way fails on the lost device first.
    await this.steps.quiet();
    await this.store.rebuild(gpu);
  }

  /** Whether the tensors are gone, with the device or because the store was put on another one. */
  get isLost(): boolean {
    return this.steps.isLost;
  }

  /** Frees what is not the store's, and with `frees` its groups there. Nothing runs afterwards. */
  async close(frees: boolean): Promise<void> {
    this.#programs.free();
    await this.steps.close(frees);
  }
}
