import type { OptionNames } from "../../base/options/options.ts";
import { throwIfAborted } from "../../base/abort.ts";
import { addTotals, type Totals } from "../../nn/metrics/metric.ts";
import type { Model } from "../../nn/model.ts";
import { withFeed } from "../../data/batch_feed.ts";
import {
  type BatchReader,
  type BatchRequest,
  type BatchSource,
  evaluationBatches,
  type OrderKey,
  sizeOfBatch,
} from "../../data/batch_source.ts";
import { fetchBatch } from "../../data/fetch_batch.ts";
import { nextTurn } from "../../base/event_loop.ts";
import { CountRows } from "./count_rows.ts";
import { type EvaluationProgram, evaluationProgram } from "./evaluation_program.ts";
import { requireBatchInRange } from "./index_check.ts";
import { ProgramsBySize } from "./programs_by_size.ts";
import { type AnySetMetric, lossOf, type Measures, setMetrics } from "./measures.ts";

/** What a model does on a data set, over every example. */
export interface EvaluationReport {
  /** The mean, without regularisers. */
  readonly loss: number;
  /** Of 1, as among the metrics; absent where the labels are no classes. */
  readonly accuracy?: number;
  /** Every metric that is a number by its name, `accuracy` included where there is one. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Every metric that is a table by its name, such as a confusion matrix. */
  readonly tables: Readonly<Record<string, readonly (readonly number[])[]>>;
  /** The mean of each term of the loss by its name, before its factor. */
  readonly terms: Readonly<Record<string, number>>;
  /** How many examples there were. */
  readonly examples: number;
}

/** Options of `Trainer.evaluate`. */
export interface EvaluateOptions {
  /** Stops between two batches, with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Every option of {@link EvaluateOptions}. */
export const EVALUATE_OPTIONS: OptionNames<EvaluateOptions> = { signal: true };

/**
 * An evaluation of a model, for all sources of the same shapes. No batch is filled up, so that no metric has to leave
 * anything out.
 */
export class Evaluation {
  readonly #model: Model;
  readonly #measures: Measures;
  readonly #metrics: ReadonlyMap<string, AnySetMetric>;
  readonly #programs = new ProgramsBySize<EvaluationProgram>("the evaluation");
  #rows: CountRows | undefined;
  #running: Promise<unknown> = Promise.resolve();

  /** @throws TypeError for an invalid metric. */
  constructor(model: Model, measures: Measures) {
    this.#model = model;
    this.#measures = measures;
    this.#metrics = setMetrics(measures.metrics);
  }

  /**
   * Every example of `source` once, in epoch 0. Throws `signal.reason` between two batches, or while it waits for one,
   * `short_batch`, and a `RangeError` for a label that the loss does not take.
   */
  run(source: BatchSource, order: OrderKey, options: EvaluateOptions = {}): Promise<EvaluationReport> {
    // One after the other, as they share the memory for what is counted.
    const report = this.#running.then(() =>
      withFeed(source, order, (from) => this.#run(source, order, options, from), options.signal)
    );
    this.#running = report.catch(() => undefined);
    return report;
  }

  async #run(
    source: BatchSource,
    order: OrderKey,
    options: EvaluateOptions,
    from: Pick<BatchReader, "batchAt">,
  ): Promise<EvaluationReport> {
    const batches = evaluationBatches(source);
    const totals = new Map<string, Totals>();
    this.#rows?.clear();
    for (let position = 0; position < batches; position++) {
      throwIfAborted(options.signal);
      const rows = await this.#submit(source, { ...order, epoch: 0, position }, from);
      if (rows.isFull || position === batches - 1) {
        for (const batch of await rows.read()) this.#merge(totals, batch);
      }
      await nextTurn();
    }
    const { terms } = await this.#programFor(source, sizeOfBatch(source, 0));
    return {
      ...this.#results(totals),
      ...lossOf(terms, totals.get("loss") ?? {}),
      examples: source.exampleCount,
    };
  }

  /** A running evaluation ends at its next batch with the error `closed`. */
  close(): void {
    this.#programs.close();
    this.#rows?.close();
  }

  /** Counts a batch, into the row that it takes of those that are given. */
  async #submit(
    source: BatchSource,
    request: BatchRequest,
    from: Pick<BatchReader, "batchAt">,
  ): Promise<CountRows> {
    const size = sizeOfBatch(source, request.position);
    const batch = await fetchBatch(source, request, size, from);
    const { executable, counted, ranges } = await this.#programFor(source, size);
    requireBatchInRange(ranges, source, batch, request);
    this.#rows ??= new CountRows(this.#model.store.gpu, counted);
    const scalars = { seed: request.seed, step: 0, values: [] };
    executable.run(batch, scalars, this.#rows.nextRow());
    return this.#rows;
  }

  #programFor(source: BatchSource, size: number): Promise<EvaluationProgram> {
    return this.#programs.get(
      size,
      source.batchSize,
      () => evaluationProgram(this.#model, source, size, this.#measures, this.#metrics),
    );
  }

  /** Adds what was counted of a batch to what was counted before it. */
  #merge(totals: Map<string, Totals>, batch: ReadonlyMap<string, Totals>): void {
    for (const [name, counted] of batch) {
      const before = totals.get(name);
      const metric = this.#metrics.get(name);
      const together = before === undefined
        ? counted
        : metric?.merge?.(before, counted) ?? addTotals(before, counted);
      totals.set(name, together);
    }
  }

  #results(totals: ReadonlyMap<string, Totals>): Pick<EvaluationReport, "accuracy" | "metrics" | "tables"> {
    const metrics: Record<string, number> = {};
    const tables: Record<string, readonly (readonly number[])[]> = {};
    for (const [name, metric] of this.#metrics) {
      const result = metric.result(totals.get(name) ?? {});
      if (typeof result === "number") metrics[name] = result;
      else tables[name] = result;
    }
    return metrics.accuracy === undefined
      ? { metrics, tables }
      : { accuracy: metrics.accuracy, metrics, tables };
  }
}
