import { CairnError } from "../../base/errors.ts";
import type { Parts } from "../../base/parts/named.ts";
import type { Values } from "../../graph/values.ts";
import type { Seed } from "../../data/seed.ts";
import type { CompileListener } from "../../gpu/compile_pipelines.ts";
import type { GpuDevice } from "../../gpu/gpu_device.ts";
import { Pace } from "../../gpu/pace.ts";
import type { NonFinitePolicy } from "../../kernels/optimizer/step_verdict.ts";
import type { Printable } from "../../base/printable.ts";
import { tellsTime } from "../../gpu/time_dispatches.ts";
import type { MemoryNeeds } from "../../gpu/memory_room.ts";
import { recordCalls } from "../../nn/layer_call.ts";
import { Model, traceModel } from "../../nn/model.ts";
import { Agreement } from "../../parallel/agreement.ts";
import { copiesOf } from "../../parallel/open_sums.ts";
import type { HostTensor } from "../../tensor/host_tensor.ts";
import type { TensorStore } from "../../tensor/tensor_store.ts";
import { labelsOf } from "../measure/batch_loss.ts";
import type { InputRanges } from "../measure/index_check.ts";
import { columnsOf, type KeptTerms } from "../step/kept_terms.ts";
import { ParameterRules } from "../step/parameter_rules.ts";
import type { StepBatch, StepParts } from "../step/step_parts.ts";
import { lacking, stateNeeds } from "../step/state_needs.ts";
import { leaveStore, placeModel, type StoreUser, userOf } from "../step/store_users.ts";
import { StepPrograms } from "../step/step_programs.ts";
import { explainStep, type StepExplanation } from "../step/explain_step.ts";
import { lossOfStep, stepValues } from "../step/step_values.ts";
import { type ModelSummary, summarizeModel } from "../step/summarize_model.ts";
import { findNonFinite, type NonFiniteResult } from "./find_non_finite.ts";
import { type StepColumns, TrainingHistory } from "./history.ts";
import { LossRing } from "./loss_ring.ts";
import { readGradients } from "../step/read_gradients.ts";
import { RateScales } from "./rate_scales.ts";
import type { TrainingState } from "./training_state.ts";

/** What of a run is known beside its tensors, where it goes on from a checkpoint. */
export interface RestoredSteps {
  readonly step: number;
  /** Losses of its first steps: all that its ring of last losses does not have. */
  readonly losses: Float32Array;
  readonly columns: StepColumns;
  /** How many updates its optimiser has done, where its tensors do not say that. */
  readonly updates?: number | undefined;
  /** Other variants of the kernels round differently, so it takes those of the run that it continues. */
  readonly variants: Readonly<Record<string, string>>;
}

/** What was measured of a run that goes on from a checkpoint. */
type MeasuredHistory = Partial<Pick<TrainingState["history"], "epochs" | "validations">>;

/**
 * Does steps: what they change is in the store, what they are is compiled for the device that the store is on. A
 * `Trainer` gives it the batches of its data, a `TrainStep` those of a loop of one's own.
 */
export class StepRunner {
  readonly store: TensorStore;
  readonly model: Model;
  readonly rules: ParameterRules;
  readonly history: TrainingHistory = new TrainingHistory();
  readonly ring: LossRing;
  /** What is kept of each step beside its loss. */
  readonly kept: KeptTerms;
  readonly seed: Seed;
  /** By what learning rates are multiplied. */
  readonly rates: RateScales = new RateScales();
  /** What ranks that train together do at the same step. */
  readonly agreement: Agreement | undefined;
  readonly #options: StepParts;
  readonly #sizes: () => readonly number[];
  readonly #needs: MemoryNeeds;
  readonly #user: StoreUser;
  /** Names of other models in the store that its model reads. */
  readonly #reads: ReadonlySet<string>;
  /** The device that the programs are compiled for, and that has the tensors. */
  #gpu: GpuDevice;
  #pace: Pace;
  #step = 0;
  /** Whether losses of a run that was restored are in its ring only, until steps write over them. */
  #lacksLosses = false;
  #initialized: Promise<void> | undefined;
  #programs: Promise<StepPrograms> | undefined;
  #freeing: Promise<void> = Promise.resolve();
  /** Whether the memory of gradients has those of a step. */
  #hasGradients = false;
  #isClosed = false;

  /**
   * Defines the groups `model`, `optimizer.<slot>` and `trainer` in the store. Throws what the model throws for a shape
   * that does not fit.
   *
   * @param sizes How many examples a batch may have, the usual number first. Asked for when a step is compiled.
   * @param check Looks at what is kept of a step and at what the model gives, before anything is in the store.
   */
  constructor(
    store: TensorStore,
    options: StepParts,
    { kind, seed, sizes, check = () => {} }: Pick<StoreUser, "kind"> & {
      readonly seed: Seed;
      readonly sizes: () => readonly number[];
      readonly check?: (kept: KeptTerms, output: Values) => void;
    },
  ) {
    const { model, optimizer, data } = options;
    const [size = data.batchSize] = sizes();
    // Before anything is in the store, so that a loss that does not fit leaves nothing there.
    const trace = traceModel(model, data.inputs, size, true);
    this.kept = lossOfStep(options, trace, labelsOf(data, size)).keptTerms;
    check(this.kept, trace.output);
    const { microBatchSize, parallel } = options;
    this.rules = new ParameterRules(optimizer, trace.parameters, parallel);
    const copies = parallel === undefined ? microBatchSize === undefined ? 1 : 2 : copiesOf(parallel);
    this.#needs = stateNeeds(this.rules, trace, copies);
    store.gpu.requireRoom("The run", this.#needs);
    this.agreement = parallel === undefined ? undefined : new Agreement(parallel);
    this.store = store;
    this.seed = seed;
    this.#options = options;
    this.#sizes = sizes;
    const { name, takeOver = false } = options;
    this.#user = { kind, name, initialize: () => this.#initializeOwn() };
    const placed = placeModel(store, this.#user, {
      takesOver: takeOver,
      define: () => Model.define(store, model, data.inputs, size, (all) => this.rules.laidOut(all), name),
      over: () => Model.over(store, model, data.inputs, name),
    });
    this.model = placed.model;
    if (placed.isTakenOver) this.#initialized = Promise.resolve();
    this.#reads = new Set(trace.borrowed.map(({ of }) => of));
    this.rules.defineSlots(this.model);
    this.#gpu = store.gpu;
    this.#pace = new Pace(store.gpu);
    this.ring = new LossRing(store, this.history, columnsOf(this.kept), name, options.precision === "f16");
  }

  /** Steps done: optimiser updates, and batches that were skipped. */
  get step(): number {
    return this.#step;
  }

  /** Whether the tensors are gone, with the device or because the store was put on another one. */
  get isLost(): boolean {
    return this.store.gpu.isLost || this.store.gpu !== this.#gpu;
  }

  /**
   * Gives the parameters their first values, once, and those of other models that it reads. Nothing happens after a
   * restore.
   */
  async initialize(): Promise<void> {
    await this.#initializeOwn();
    for (const name of this.#reads) await userOf(this.store, name)?.initialize();
    this.requireOpen();
  }

  /** Whether the parameters have values, or are about to. */
  get isInitialized(): boolean {
    return this.#initialized !== undefined;
  }

  async #initializeOwn(): Promise<void> {
    this.#requireTensors();
    // One promise for all callers: a second initialisation could undo the first step.
    this.#initialized ??= this.#begin();
    await this.#initialized;
  }

  async #begin(): Promise<void> {
    try {
      await this.store.allocated();
    } catch (error) {
      leaveStore(this.store, this.#user, true);
      throw lacking(this.#needs, error);
    }
    await this.model.initialize(this.seed);
  }

  /**
   * What is compiled for steps, which is done once.
   *
   * @param onCompile Told of the kernels where it is done now.
   */
  async programs(onCompile?: CompileListener): Promise<StepPrograms> {
    this.requireOpen();
    this.#requireTensors();
    this.#programs ??= StepPrograms.compile({
      ...this.#options,
      model: this.model,
      rules: this.rules,
      sizes: this.#sizes(),
      onCompile,
      rateScale: () => this.rates.schedule,
      state: this.ring.stepState(this.rules.slotGroups(this.store, this.model.name)),
    });
    return await this.#programs;
  }

  /**
   * One step, on the batch of `size` examples that `batchOf` gives: submits it and, almost always, waits for nothing.
   *
   * @throws CairnError `non_finite` when it is known by now that an earlier step stopped the run; what `batchOf`
   * throws.
   */
  async run(
    size: number,
    nonFinite: NonFinitePolicy,
    batchOf: (ranges: InputRanges) => Parts<ArrayBufferView> | Promise<Parts<ArrayBufferView>>,
  ): Promise<void> {
    const programs = await this.programs();
    if (this.#lacksLosses) await this.ring.drain(this.#step);
    this.#lacksLosses = false;
    // Of several ranks all know it, or none acts upon it.
    if (!this.agreement?.isShared) this.requireUnstopped();
    const batch = await batchOf(programs.ranges);
    this.requireOpen();
    const request = { step: this.#step, seed: this.seed, nonFinite, size };
    if (this.agreement !== undefined) {
      const messages = await programs.reduce(batch, request, this.agreement.message(this.#step));
      this.agreement.take(this.#step, messages);
      this.requireOpen();
      if (this.agreement.hasStopped) await this.readLosses();
    }
    programs.run(batch, request);
    if (programs.gather !== undefined) {
      const takeEffect = await programs.gather();
      this.requireOpen();
      takeEffect();
    }
    // In the tick of the submit, so that in every snapshot tensors and number agree.
    this.#step += 1;
    this.#hasGradients = true;
    await this.ring.advance(this.#step);
    await this.#pace.afterSubmit();
  }

  /** Makes the history complete. Waits for the GPU. Throws `non_finite` when a step stopped the run. */
  async readLosses(): Promise<void> {
    await this.ring.drain(this.#step);
    this.requireUnstopped();
  }

  /** The gradients of the last step, by the names of their parameters. Waits for the GPU. */
  async readGradients(names?: readonly string[]): Promise<Map<string, HostTensor>> {
    const { gradients } = await this.programs();
    if (!this.#hasGradients) {
      throw new TypeError("There are no gradients before the first step: run one first");
    }
    return await readGradients(this.store.gpu, gradients, names);
  }

  /** Makes the history complete, and the number of the step what the GPU says: of the last whole one. */
  async settle(): Promise<void> {
    await this.ring.drain(this.#step);
    this.#step = this.ring.stoppedStep ?? this.#step;
  }

  /** Makes a step that was not finite and stopped the run the next one, anew. */
  async retry(): Promise<void> {
    await this.settle();
    this.ring.release();
  }

  /** Throws `non_finite` when it is known that a step stopped the run; the number of the step is then that one's. */
  requireUnstopped(): void {
    const stopped = this.ring.stoppedStep;
    if (stopped === undefined) return;
    this.#step = stopped;
    throw new CairnError("non_finite", `Step ${stopped + 1} is not finite`, {
      details: { value: stopped + 1 },
    });
  }

  /**
   * Does the next step once more without changing anything, op by op, and gives the first result that is not finite.
   */
  async findNonFinite(batchOf: StepBatch): Promise<NonFiniteResult | undefined> {
    await this.initialize();
    await this.settle();
    const programs = await this.programs();
    const step = this.#step;
    const { batch, size } = await batchOf(step, programs.ranges);
    this.requireOpen();
    return await findNonFinite(this.model, programs.partsOf(batch, { seed: this.seed, step, size }));
  }

  /** The model layer by layer, for batches of the usual size. */
  summary(): Printable<ModelSummary> {
    const { data } = this.#options;
    const [batchSize = data.batchSize] = this.#sizes();
    const { model, rules } = this;
    const definition = { ...this.#options, model, rules, size: batchSize };
    // Of the way to the output alone: some layers are called again on the way back.
    const calls = recordCalls(() => void model.trace(batchSize, true));
    const values = stepValues(definition);
    return summarizeModel({ model, rules, values, calls, batchSize });
  }

  /**
   * What the step consists of; with the times of its kernels where it is given a batch and the device tells them.
   * Whatever is measured, nothing is changed.
   */
  async explain(timed?: StepBatch): Promise<Printable<StepExplanation>> {
    await this.initialize();
    const programs = await this.programs();
    const all = programs.explain();
    if (timed !== undefined && tellsTime(this.store.gpu)) {
      const { batch, size } = await timed(this.#step, programs.ranges);
      this.requireOpen();
      const slabs = this.store.groups().flatMap((group) => group.slabs);
      const unchanged = slabs.map(({ buffer, byteLength }) => ({ buffer, offset: 0, size: byteLength }));
      const request = { step: this.#step, seed: this.seed, nonFinite: "skip", size } as const;
      this.#hasGradients = false;
      const explained = await programs.explainTimed(batch, request, unchanged.filter(({ size }) => size > 0));
      all.splice(all.findIndex(({ label }) => label === explained.label), 1, explained);
    }
    return explainStep(this.store, all, programs.gradientBytes);
  }

  /** Resolves when nothing is under way that would write over what is loaded. How it ends does not matter by then. */
  async quiet(): Promise<void> {
    // Losses of the run before, of which the last may still be on their way.
    await this.ring.settled();
    await this.#initialized?.catch(() => {});
  }

  /**
   * Goes on from what was loaded, in the tick in which the tensors change. Never throws.
   *
   * @returns Whether what was compiled for the store is of no use any more.
   */
  goOnFrom(
    { step, losses, columns, updates, variants }: RestoredSteps,
    history: MeasuredHistory = {},
  ): boolean {
    const isMoved = this.#followStore();
    this.#initialized = Promise.resolve();
    this.#step = step;
    this.#lacksLosses = losses.length < step;
    this.#hasGradients = false;
    this.history.replace(losses, history.epochs ?? [], history.validations, columns);
    if (updates === undefined) this.ring.forget();
    else this.ring.begin(updates);
    return this.#useVariants(variants) || isMoved;
  }

  /** Forgets what was compiled, and frees it behind. */
  free(): void {
    const compiled = this.#programs;
    this.#programs = undefined;
    this.#hasGradients = false;
    this.#freeing = this.#freeing.then(async () => {
      const [outcome] = await Promise.allSettled([compiled]);
      if (outcome.status === "fulfilled") outcome.value?.close();
    });
  }

  /** Frees what is not the store's, and with `frees` its groups there. Nothing runs afterwards. */
  async close(frees: boolean = false): Promise<void> {
    this.#isClosed = true;
    this.free();
    await this.#freeing;
    leaveStore(this.store, this.#user, frees);
  }

  /** @throws CairnError `closed`. */
  requireOpen(): void {
    if (!this.#isClosed) return;
    throw new CairnError("closed", "Cannot go on: the trainer was closed meanwhile; make a new one");
  }

  /** What was compiled for a device that the store is no longer on is forgotten. */
  #followStore(): boolean {
    const { gpu } = this.store;
    if (gpu === this.#gpu) return false;
    this.free();
    this.#pace = new Pace(gpu);
    this.#gpu = gpu;
    return true;
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

  #useVariants(variants: Readonly<Record<string, string>>): boolean {
    const own = this.store.variants;
    const isSame = Object.entries(variants).every(([kernel, variant]) => own.get(kernel) === variant);
    if (isSame) return false;
    this.free();
    for (const [kernel, variant] of Object.entries(variants)) own.set(kernel, variant);
    return true;
  }
}
