import type { Model } from "../../nn/model.ts";
import { type BatchSource, type OrderKey, requireExamples } from "../../data/batch_source.ts";
import { exampleParts } from "../../data/batch_parts.ts";
import { Evaluation, type EvaluationReport } from "./evaluation.ts";
import type { Measures } from "./measures.ts";

/** The evaluations of a run: one for all sources of the same shapes, as a caller may make a new source each time. */
export class Evaluations {
  readonly #model: Model;
  readonly #measures: Measures;
  readonly #compiled = new Map<string, Evaluation>();

  constructor(model: Model, measures: Measures) {
    this.#model = model;
    this.#measures = measures;
  }

  /** Measures every example of `source`. Throws a `RangeError` when it has none. */
  async run(source: BatchSource, order: OrderKey, signal?: AbortSignal): Promise<EvaluationReport> {
    requireExamples("The data to evaluate on", source);
    const key = shapesOf(source);
    const evaluation = this.#compiled.get(key) ?? new Evaluation(this.#model, this.#measures);
    this.#compiled.set(key, evaluation);
    return await evaluation.run(source, order, { signal });
  }

  /** Frees them. The next run compiles anew. */
  free(): void {
    for (const evaluation of this.#compiled.values()) evaluation.close();
    this.#compiled.clear();
  }
}

/** What an evaluation is for. */
function shapesOf({ batchSize, inputs, labels }: BatchSource): string {
  const specs = Object.entries(exampleParts({ inputs, labels }));
  return JSON.stringify([batchSize, ...specs.map(([part, { dtype, shape }]) => [part, dtype, shape])]);
}
