import type { Named } from "../../base/parts/named.ts";
import type { GenerateSettings } from "../../generate/generate_options.ts";
import type { Generations } from "../../generate/generations.ts";
import type { GeneratedToken } from "../../generate/write_texts.ts";
import type { Value } from "../../graph/value.ts";
import type { Values } from "../../graph/values.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import type { BatchSource, OrderKey } from "../../data/batch_source.ts";
import type { EvaluationReport } from "../measure/evaluation.ts";
import { Evaluations } from "../measure/evaluations.ts";
import type { PredictInputs, PredictOptions } from "../measure/prediction_source.ts";
import { type PredictionContext, Predictions } from "../measure/predictions.ts";
import type { Layer } from "../../nn/layer.ts";
import { Model } from "../../nn/model.ts";
import type { HostTensor } from "../../tensor/host_tensor.ts";
import type { AnyMetrics } from "../measure/measures.ts";
import type { AnyRun } from "./run_options.ts";
import type { StepRunner } from "./step_runner.ts";

/** What it needs to know of the steps of a run. */
type Steps = Pick<StepRunner, "model" | "rules" | "ring" | "requireOpen" | "initialize">;

/** What is compiled for a run beside its steps, for the device that its store is on. */
export class RunPrograms {
  readonly #evaluations: Evaluations;
  readonly #predictions: Predictions;
  /** The same of the averages of the weights, where there are some. */
  readonly #evaluationsOfAverages: Evaluations;
  readonly #predictionsOfAverages: Predictions;
  /** Texts, by the weights and by their averages. */
  readonly #generations = new Map<boolean, Generations>();
  readonly #steps: Steps;
  readonly #layer: Layer<Values, Values>;

  constructor({ loss, model: layer }: Pick<AnyRun, "loss" | "model">, steps: Steps, metrics: AnyMetrics) {
    this.#steps = steps;
    this.#layer = layer;
    const { model, rules } = steps;
    const measures = { loss, metrics };
    this.#evaluations = new Evaluations(model, measures);
    this.#predictions = new Predictions(model);
    const weights = (name: string): BufferRange => rules.averageOf(model, name);
    this.#evaluationsOfAverages = new Evaluations(model, { ...measures, weights });
    this.#predictionsOfAverages = new Predictions(model, weights);
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
    inputs: PredictInputs<Values>,
    context: PredictionContext,
    options: PredictOptions,
  ): Promise<Named<HostTensor>> {
    const predictions = await this.#usesAverages() ? this.#predictionsOfAverages : this.#predictions;
    return await predictions.run(inputs, context, options);
  }

  /** What the texts that begin with `prompts` go on with, by the weights that {@link RunPrograms.evaluate} takes. */
  async *generate(
    prompts: readonly (readonly number[])[],
    settings: GenerateSettings,
  ): AsyncGenerator<GeneratedToken, void> {
    // Imported when it is needed, so that a bundle that only trains is without it.
    const { Generations } = await import("../../generate/generations.ts");
    const usesAverages = await this.#usesAverages();
    const { model, rules } = this.#steps;
    const generations = this.#generations.get(usesAverages) ?? new Generations(
      // Whatever it is trained on, a text has tokens of any number.
      (positions) => {
        const layer = this.#layer as Layer<Value, Value>;
        return Model.over(model.store, layer, { dtype: "u32", shape: [positions] });
      },
      (name) => usesAverages ? rules.averageOf(model, name) : model.rangeOf(name),
    );
    this.#generations.set(usesAverages, generations);
    yield* generations.run(prompts, settings);
  }

  async #usesAverages(): Promise<boolean> {
    const { rules, ring } = this.#steps;
    await this.#steps.initialize();
    const isAveraged = rules.hasAverage && await ring.updates() > 0;
    // Nothing is compiled once it was closed, since nobody would free it.
    this.#steps.requireOpen();
    return isAveraged;
  }

  /** Forgets what was compiled, and frees it. */
  free(): void {
    for (const each of [this.#evaluations, this.#evaluationsOfAverages]) each.free();
    for (const each of [this.#predictions, this.#predictionsOfAverages]) each.free();
    for (const each of this.#generations.values()) each.free();
    this.#generations.clear();
  }
}
