import type { BufferRange } from "../../gpu/buffer_range.ts";
import type { Metric } from "../../nn/metrics/metric.ts";
import type { Model } from "../../nn/model.ts";
import type { BatchSource, OrderKey } from "../../data/batch_source.ts";
import type { EvaluationReport } from "../measure/evaluation.ts";
import { Evaluations } from "../measure/evaluations.ts";
import type { PredictInputs, PredictOptions } from "../measure/prediction_source.ts";
import { type PredictionContext, Predictions } from "../measure/predictions.ts";
import type { HostTensor } from "../../tensor/host_tensor.ts";
import type { ParameterRules } from "../step/parameter_rules.ts";
import { TrainStep } from "../step/train_step.ts";
import type { LossRing } from "./loss_ring.ts";
import type { RunOptions } from "./run_options.ts";

/** What is compiled for a run, for the device that its store is on. */
export class RunPrograms {
  readonly #evaluations: Evaluations;
  readonly #predictions: Predictions;
  /** The same of the averages of the weights, where there are some. */
  readonly #evaluationsOfAverages: Evaluations;
  readonly #predictionsOfAverages: Predictions;
  readonly #options: RunOptions;
  readonly #model: Model;
  readonly #rules: ParameterRules;
  readonly #ring: LossRing;
  #step: Promise<TrainStep> | undefined;
  #freeing: Promise<void> = Promise.resolve();

  constructor(
    options: RunOptions,
    model: Model,
    rules: ParameterRules,
    ring: LossRing,
    metrics: Readonly<Record<string, Metric>>,
  ) {
    this.#options = options;
    this.#model = model;
    this.#rules = rules;
    this.#ring = ring;
    const measures = { loss: options.loss, metrics };
    this.#evaluations = new Evaluations(model, measures);
    this.#predictions = new Predictions(model);
    const weights = (name: string): BufferRange => rules.averageOf(model, name);
    this.#evaluationsOfAverages = new Evaluations(model, { ...measures, weights });
    this.#predictionsOfAverages = new Predictions(model, weights);
  }

  /** The step of the run for batches of `sizes` examples, compiled once. */
  async step(sizes: readonly number[]): Promise<TrainStep> {
    const { control, losses, columns } = this.#ring;
    this.#step ??= TrainStep.compile({
      ...this.#options,
      model: this.#model,
      rules: this.#rules,
      sizes,
      state: { slots: this.#rules.slotGroups(this.#model.store), control, losses, columns },
    });
    return await this.#step;
  }

  /**
   * Measures every example of `source`, by the averages of the weights where the optimiser keeps them and there was an
   * update: before it they hold nothing.
   */
  async evaluate(source: BatchSource, order: OrderKey, signal?: AbortSignal): Promise<EvaluationReport> {
    const evaluations = await this.#usesAverages() ? this.#evaluationsOfAverages : this.#evaluations;
    return await evaluations.run(source, order, signal);
  }

  /** What the model gives for `inputs`, by the weights that {@link RunPrograms.evaluate} takes. */
  async predict(
    inputs: PredictInputs,
    context: PredictionContext,
    options: PredictOptions,
  ): Promise<HostTensor> {
    const predictions = await this.#usesAverages() ? this.#predictionsOfAverages : this.#predictions;
    return await predictions.run(inputs, context, options);
  }

  async #usesAverages(): Promise<boolean> {
    return this.#rules.hasAverage && await this.#ring.updates() > 0;
  }

  /** Forgets what was compiled, and frees it behind. */
  free(): void {
    const closing = Promise.allSettled([this.#step]);
    this.#step = undefined;
    for (const each of [this.#evaluations, this.#evaluationsOfAverages]) each.free();
    for (const each of [this.#predictions, this.#predictionsOfAverages]) each.free();
    this.#freeing = this.#freeing.then(async () => {
      for (const compiled of await closing) if (compiled.status === "fulfilled") compiled.value?.close();
    });
  }

  /** Resolves when all that was forgotten is freed. */
  async freed(): Promise<void> {
    await this.#freeing;
  }
}
