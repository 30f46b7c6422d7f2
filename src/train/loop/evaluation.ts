import type { OptionNames } from "../../base/options/options.ts";
import { throwIfAborted } from "../../base/abort.ts";
import { BufferUsage } from "../../gpu/constants.ts";
import type { GpuDevice } from "../../gpu/gpu_device.ts";
import { Executable } from "../../graph/executable.ts";
import { indexLimits, type InputLimit } from "../../graph/index_limits.ts";
import { greater, where } from "../../graph/ops/comparison.ts";
import { sum } from "../../graph/ops/sum.ts";
import { input } from "../../graph/ops/sources.ts";
import type { Value } from "../../graph/value.ts";
import type { Loss } from "../../nn/losses/loss.ts";
import type { Metric } from "../../nn/metrics/metric.ts";
import type { Model } from "../../nn/model.ts";
import {
  type Batch,
  type BatchRequest,
  type BatchSource,
  evaluationBatches,
  fetchBatch,
  type OrderKey,
} from "../../data/batch_source.ts";
import { nextTurn } from "../../base/event_loop.ts";
import { requireIndices } from "./index_check.ts";
import { labelsOf, requirePerExample } from "./step_values.ts";

/** What a model does on a data set: means over every example. */
export interface EvaluationReport {
  /** Mean over the examples. */
  readonly loss: number;
  /** Of 1; NaN where the labels are no classes. */
  readonly accuracy: number;
  /** Every metric by its name, `accuracy` included where there is one. */
  readonly metrics: Readonly<Record<string, number>>;
  /** How many examples there were. */
  readonly examples: number;
}

/** What is measured, beside the loss. */
export interface Measures {
  readonly loss: Loss;
  readonly metrics: Readonly<Record<string, Metric>>;
}

/** Options of `Trainer.evaluate`. */
export interface EvaluateOptions {
  /** Stops between two batches, with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Every option of {@link EvaluateOptions}. */
export const EVALUATE_OPTIONS: OptionNames<EvaluateOptions> = { signal: true };

/** Batches between two reads. */
const BATCHES_PER_READ = 64;

/**
 * A compiled evaluation of a model, for all sources of the same shapes. The last batch is filled up with
 * examples that do not count.
 */
export class Evaluation {
  readonly #gpu: GpuDevice;
  readonly #executable: Executable;
  readonly #names: readonly string[];
  readonly #limits: ReadonlyMap<string, InputLimit>;
  /** A row of sums for each batch since the last read. */
  readonly #sums: GPUBuffer;
  #running: Promise<unknown> = Promise.resolve();

  private constructor(gpu: GpuDevice, executable: Executable, outputs: Readonly<Record<string, Value>>) {
    const names = Object.keys(outputs);
    this.#gpu = gpu;
    this.#executable = executable;
    this.#names = names;
    this.#limits = indexLimits(Object.values(outputs));
    this.#sums = gpu.createBuffer(
      "evaluation sums",
      4 * names.length * BATCHES_PER_READ,
      BufferUsage.COPY_SRC | BufferUsage.COPY_DST,
    );
  }

  static async compile(model: Model, source: BatchSource, measures: Measures): Promise<Evaluation> {
    const { gpu, variants } = model.store;
    const { batchSize } = source;
    const trace = model.trace(batchSize, false);
    const labels = labelsOf(source);
    const counts = input("counts", "f32", [batchSize]);
    const total = (what: string, perExample: Value): Value =>
      // Chosen and not multiplied: 0 times the NaN of an example that does not count would be NaN.
      sum(where(greater(counts, 0), requirePerExample(what, perExample, batchSize), 0));
    const outputs: Record<string, Value> = { loss: total("The loss", measures.loss(trace.output, labels)) };
    for (const [name, metric] of Object.entries(measures.metrics)) {
      outputs[name] = total(`The metric "${name}"`, metric(trace.output, labels));
    }
    const executable = await Executable.compile(
      gpu,
      { inputs: [trace.input, labels, counts], outputs, parameters: (name) => model.rangeOf(name) },
      { variants, label: "evaluation" },
    );
    return new Evaluation(gpu, executable, outputs);
  }

  /**
   * Every example of `source` once, in epoch 0. Throws `signal.reason` between two batches,
   * `short_batch`, and a `RangeError` for a label that is no class.
   */
  run(source: BatchSource, order: OrderKey, options: EvaluateOptions = {}): Promise<EvaluationReport> {
    // One after the other, as they share the memory for the sums.
    const report = this.#running.then(() => this.#run(source, order, options));
    this.#running = report.catch(() => undefined);
    return report;
  }

  async #run(source: BatchSource, order: OrderKey, options: EvaluateOptions): Promise<EvaluationReport> {
    const { exampleCount } = source;
    const batches = evaluationBatches(source);
    const totals = new Float64Array(this.#names.length);
    let unread = 0;
    for (let position = 0; position < batches; position++) {
      throwIfAborted(options.signal);
      await this.#submit(source, { ...order, epoch: 0, position }, unread);
      unread += 1;
      if (unread === BATCHES_PER_READ || position === batches - 1) {
        await this.#collect(unread, totals);
        unread = 0;
      }
      await nextTurn();
    }
    const means = Object.fromEntries(
      this.#names.map((name, index) => [name, (totals[index] ?? NaN) / exampleCount]),
    );
    const { loss = NaN, ...metrics } = means;
    return { loss, accuracy: metrics.accuracy ?? NaN, metrics, examples: exampleCount };
  }

  close(): void {
    this.#executable.close();
    this.#gpu.destroyBuffer(this.#sums);
  }

  async #submit(source: BatchSource, request: BatchRequest, row: number): Promise<void> {
    const { batchSize, exampleCount } = source;
    const { seed, position } = request;
    const size = Math.min(batchSize, exampleCount - position * batchSize);
    const batch = await fetchBatch(source, request, size);
    requireIndices(this.#limits, source, batch, request);
    const counts = new Float32Array(batchSize).fill(1, 0, size);
    const filled = size === batchSize ? batch : filledUp(batch, batchSize / size);
    const copies = this.#names.map((output, index) => ({
      output,
      into: { buffer: this.#sums, offset: 4 * (row * this.#names.length + index), size: 4 },
    }));
    this.#executable.run({ inputs: filled.inputs, labels: filled.labels, counts }, {
      seed,
      step: 0,
      values: [],
    }, copies);
  }

  /** Adds the sums of the first `rows` batches, in their order, in float64. */
  async #collect(rows: number, totals: Float64Array): Promise<void> {
    const columns = totals.length;
    const [bytes] = await this.#gpu.read([{ buffer: this.#sums, offset: 0, size: 4 * rows * columns }]);
    if (bytes === undefined) return;
    const sums = new Float32Array(bytes.buffer, bytes.byteOffset, rows * columns);
    sums.forEach((value, index) => totals[index % columns] = (totals[index % columns] ?? 0) + value);
  }
}

/** `batch` with zeros behind it, up to `factor` times its length. */
function filledUp(batch: Batch, factor: number): Batch {
  return { inputs: zerosAfter(batch.inputs, factor), labels: zerosAfter(batch.labels, factor) };
}

function zerosAfter(view: ArrayBufferView, factor: number): Uint8Array {
  const filled = new Uint8Array(Math.round(view.byteLength * factor));
  filled.set(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
  return filled;
}
