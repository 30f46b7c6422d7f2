import type { Model } from "../../nn/model.ts";
import { type BatchSource, type OrderKey, requireExamples } from "../../data/batch_source.ts";
import { Evaluation, type EvaluationReport, type Measures } from "./evaluation.ts";

/** The evaluations of a run: one for all sources of the same shapes, as a caller may make a new source each time. */
export class Evaluations {
  readonly #model: Model;
  readonly #measures: Measures;
  readonly #compiled = new Map<string, Promise<Evaluation>>();

  constructor(model: Model, measures: Measures) {
    this.#model = model;
    this.#measures = measures;
  }

  /** Means over every example of `source`. Throws a `RangeError` when it has none. */
  async run(source: BatchSource, order: OrderKey, signal?: AbortSignal): Promise<EvaluationReport> {
    requireExamples("The data to evaluate on", source);
    const key = shapesOf(source);
    const evaluation = this.#compiled.get(key) ?? Evaluation.compile(this.#model, source, this.#measures);
    this.#compiled.set(key, evaluation);
    evaluation.catch(() => this.#compiled.delete(key));
    return await (await evaluation).run(source, order, { signal });
  }

  /** Frees them. The next run compiles anew. */
  async free(): Promise<void> {
    const closing = [...this.#compiled.values()];
    this.#compiled.clear();
    for (const compiled of await Promise.allSettled(closing)) {
      if (compiled.status === "fulfilled") compiled.value.close();
    }
  }
}

/** What an evaluation is compiled for. */
function shapesOf({ batchSize, inputs, labels }: BatchSource): string {
  return JSON.stringify([batchSize, inputs.dtype, inputs.shape, labels.dtype, labels.shape]);
}
