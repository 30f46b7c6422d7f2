import { checkOptions } from "../../base/options/options.ts";
import { CLOSE_OPTIONS, type CloseOptions } from "../step/close_options.ts";
import { requireAwaited } from "../../base/options/kind_of.ts";
import type { HostState, Stateful, StateInput } from "../../checkpoint/capture/state_types.ts";
import { partText } from "../../base/parts/named.ts";
import type { Value } from "../../graph/value.ts";
import type { Values } from "../../graph/values.ts";
import { batchParts, exampleParts, requireSameParts } from "../../data/batch_parts.ts";
import type { Batch, BatchSpec } from "../../data/batch_source.ts";
import { countExamples } from "../../data/fetch_batch.ts";
import { checkedSeed } from "../../data/seed.ts";
import type { Model } from "../../nn/model.ts";
import type { HostTensor } from "../../tensor/host_tensor.ts";
import type { TensorStore } from "../../tensor/tensor_store.ts";
import type { Printable } from "../../base/printable.ts";
import type { StepExplanation } from "../step/explain_step.ts";
import type { ModelSummary } from "../step/summarize_model.ts";
import { requireInRange } from "../measure/index_check.ts";
import type { NonFiniteResult } from "./find_non_finite.ts";
import type { TrainingHistory } from "./history.ts";
import { LossRing } from "./loss_ring.ts";
import { allowing, recordedSettings } from "./run_identity.ts";
import type { SizedBatch } from "../step/step_parts.ts";
import { StepRunner } from "./step_runner.ts";
import { untyped } from "./run_options.ts";
import { stepStateOf, stepStateTree, type TrainStepState } from "./train_step_state.ts";
import { type AnyTrainStep, checkTrainStep, sizesOf, type TrainStepOptions } from "./train_step_options.ts";

/**
 * A training step for a loop of one's own: forward, backward, the check of every gradient and the optimiser, as one
 * submit. It is what a `Trainer` calls for each batch.
 *
 * The tensors are in the store, which stays the caller's. Everything else is its state: with a `Snapshot` of the store
 * and the step, a loop goes on from where it was, bit for bit, on the same adapter and runtime.
 *
 * @example
 * ```ts
 * const data = DataLoader.from({ inputs, labels }, { batchSize: 64 });
 * const step = await TrainStep.compile(store, {
 *   model: nn.linear(784, 10),
 *   loss: nn.crossEntropy(),
 *   optimizer: optim.adamw({ learningRate: 1e-3 }),
 *   inputs: data.inputs,
 *   labels: data.labels,
 *   batchSize: data.batchSize,
 * });
 * while (step.step < 1000) await step.run(data.next());
 * console.log((await step.readLosses()).at(-1));
 * await step.close();
 * ```
 */
export class TrainStep<In extends Values = Value, Out extends Values = Value> implements Stateful {
  readonly #options: AnyTrainStep;
  readonly #spec: BatchSpec;
  /** How many examples batches may have. */
  readonly #sizes: readonly number[];
  readonly #steps: StepRunner;

  private constructor(store: TensorStore, options: AnyTrainStep) {
    const { inputs, labels, seed = 0 } = options;
    this.#sizes = sizesOf(options);
    const [batchSize = 1] = this.#sizes;
    this.#options = options;
    this.#spec = { inputs, labels, batchSize };
    this.#steps = new StepRunner(store, { ...options, data: this.#spec }, {
      kind: "TrainStep",
      seed: checkedSeed(seed),
      sizes: () => this.#sizes,
    });
  }

  /**
   * Defines the groups `model`, `optimizer.<slot>` and `trainer` in `store`, or those of `name`, gives the parameters
   * their first values, and compiles.
   *
   * @throws TypeError or RangeError for a model, a loss or options that do not fit, and for a model that the store has
   * already; CairnError `gpu_validation`, `out_of_memory`. Then the store is as it was.
   */
  static async compile<
    In extends Values = Value,
    Out extends Values = Value,
    Labels extends Values = Value,
  >(
    store: TensorStore,
    options: TrainStepOptions<In, Out, Labels>,
  ): Promise<TrainStep<In, Out>> {
    const step = TrainStep.define(store, options);
    try {
      await step.compile();
      return step;
    } catch (error) {
      await step.close({ free: options.takeOver !== true });
      throw error;
    }
  }

  /**
   * Defines the groups and nothing more: for models that read each other's weights by `nn.frozen(layer, { of })`, which
   * are all defined before the first of them is compiled. {@link TrainStep.compile} of each follows.
   *
   * @throws TypeError or RangeError as `TrainStep.compile` does.
   */
  static define<In extends Values = Value, Out extends Values = Value, Labels extends Values = Value>(
    store: TensorStore,
    options: TrainStepOptions<In, Out, Labels>,
  ): TrainStep<In, Out> {
    requireAwaited("The store", store, "TensorStore.open()");
    const untypedOptions = untyped(options);
    checkTrainStep(untypedOptions);
    return new TrainStep<In, Out>(store, untypedOptions);
  }

  /**
   * Gives the parameters their first values, unless they have some, and compiles: what {@link TrainStep.define} left to
   * be done. Does nothing the second time.
   *
   * @throws CairnError `gpu_validation`, `out_of_memory`; TypeError for a model that is read and is not in the store.
   */
  async compile(): Promise<void> {
    await this.#steps.initialize();
    await this.#steps.programs(this.#options.onCompile);
  }

  /** The layer with its parameters, of which programs of one's own can be made: `step.model.trace(…)`. */
  get model(): Model<In, Out> {
    return this.#steps.model as Model<In, Out>;
  }

  /** Steps done: optimiser updates, and batches that were skipped. */
  get step(): number {
    return this.#steps.step;
  }

  /** What is known of the losses without waiting: all but those of the last 64 steps. It has no epochs. */
  get history(): TrainingHistory {
    return this.#steps.history;
  }

  /**
   * One step on `batch`: submits it and, almost always, waits for nothing. It resolves at once unless the GPU is
   * several steps behind; the batch may be changed then.
   *
   * @throws RangeError for a number of examples that it was not compiled for, and for a label that is no class;
   * CairnError `non_finite` when it is known by now that an earlier step was not finite, after which
   * {@link TrainStep.step} is that step and nothing changes until {@link TrainStep.retry}; `closed`, `device_lost`.
   */
  async run(batch: Batch): Promise<void> {
    const { size, batch: parts } = this.#sized(batch);
    await this.compile();
    await this.#steps.run(size, this.#options.onNonFinite ?? "stop", (ranges) => {
      const specs = exampleParts(this.#spec);
      requireInRange(ranges, specs, parts, (row) => `example ${row} of step ${this.step + 1}`);
      return parts;
    });
  }

  /**
   * The loss of every step, f32, NaN for one that was skipped. Waits for the GPU; what else is known of the steps is in
   * {@link TrainStep.history} then.
   *
   * @throws CairnError `non_finite` when a step was not finite.
   */
  async readLosses(): Promise<Float32Array> {
    await this.#steps.readLosses();
    return this.history.loss;
  }

  /**
   * The gradients of the last step by the names of their parameters, before they are clipped. Waits for the GPU. There
   * is none of a parameter that is frozen, or that the loss does not reach.
   *
   * @param names Which parameters'. Default: all.
   * @throws TypeError when no step was run since it was compiled, and for a parameter that has no gradient.
   */
  async readGradients(names?: readonly string[]): Promise<Map<string, HostTensor>> {
    return await this.#steps.readGradients(names);
  }

  /** Makes a step that was not finite the next one again: give its batch anew, or another one. Waits for the GPU. */
  async retry(): Promise<void> {
    await this.#steps.retry();
  }

  /**
   * Does the next step on `batch` without changing anything, op by op, and gives the first result that is not finite.
   * Compiles programs of its own, which takes a while.
   *
   * @returns undefined where every result is finite.
   */
  async findNonFinite(batch: Batch): Promise<NonFiniteResult | undefined> {
    const sized = this.#sized(batch);
    return await this.#steps.findNonFinite(() => Promise.resolve(sized));
  }

  /** The model, layer by layer: data, of which `console.log` shows a table. */
  summary(): Printable<ModelSummary> {
    return this.#steps.summary();
  }

  /**
   * What the step consists of: its kernels with bytes, operations and layers, its memory beside the least that there
   * could be, the variants that were chosen. Data, of which `console.log` shows tables. Nothing is changed.
   *
   * @param batch Where it is given and the adapter tells times, the step is done on it twice, to measure each kernel.
   */
  async explain(batch?: Batch): Promise<Printable<StepExplanation>> {
    if (batch === undefined) return await this.#steps.explain();
    const sized = this.#sized(batch);
    return await this.#steps.explain(() => Promise.resolve(sized));
  }

  /**
   * Everything but the tensors, for a `Snapshot`.
   *
   * @throws TypeError for one that was only defined, as its tensors have no values.
   */
  stateDict(): StateInput {
    if (!this.#steps.isInitialized) {
      throw new TypeError("This step has no weights yet: await its compile() before a snapshot is saved");
    }
    return stepStateTree(this.#state());
  }

  /**
   * Takes back what {@link TrainStep.stateDict} gave; the tensors are the store's.
   *
   * @throws CairnError `state_mismatch` for the state of a step that has another seed, optimiser, loss or batch size,
   * with all differences, unless `allow` names them.
   */
  async loadStateDict(state: HostState): Promise<void> {
    const { step, losses, columns, variants } = stepStateOf(
      state,
      this.#state(),
      allowing(this.#options.allow ?? []),
    );
    await this.#steps.quiet();
    this.#steps.goOnFrom({ step, losses, columns, variants });
  }

  /**
   * Frees the programs and the gradients. Its tensors stay in the store, where another step may take them over, unless
   * `free` says otherwise. Safe to call twice.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    const { free = false } = checkOptions("close()", options, CLOSE_OPTIONS, "{ free: true }");
    await this.#steps.close(free);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #state(): TrainStepState {
    const { store, history, seed, step } = this.#steps;
    const known = Math.min(history.length, LossRing.historyLengthAt(step));
    return {
      step,
      seed,
      batchSize: this.#spec.batchSize,
      optimizer: this.#options.optimizer.name,
      parts: recordedSettings(this.#options, undefined),
      losses: history.loss.subarray(0, known),
      columns: history.columnsBefore(known),
      variants: Object.fromEntries(store.variants),
    };
  }

  /** The parts of a batch, and how many examples each of them has. */
  #sized(batch: Batch): SizedBatch {
    const specs = exampleParts(this.#spec);
    const parts = batchParts(batch);
    requireSameParts("A batch", specs, Object.keys(parts));
    const counts = Object.entries(specs).map(([part, spec]) => {
      return { part, count: countExamples(part, parts[part] ?? new Uint8Array(0), spec) };
    });
    const [{ count: size } = { count: 0 }] = counts;
    const other = counts.find(({ count }) => count !== size);
    if (other === undefined && this.#sizes.includes(size)) return { batch: parts, size };
    const found = other === undefined
      ? `${size} examples`
      : `${partText(counts[0]?.part ?? "inputs")} of ${size} examples and ${
        partText(other.part)
      } of ${other.count}`;
    throw new RangeError(
      `A batch has ${found}, and the step was compiled for ${
        this.#sizes.join(" or ")
      }; give TrainStep.compile() a batchSize ` +
        "for each number of examples",
    );
  }
}
