import type { Metric } from "../../nn/metrics/metric.ts";
import type { Model } from "../../nn/model.ts";
import type { BatchSource, OrderKey } from "../../data/batch_source.ts";
import type { EvaluationReport } from "../measure/evaluation.ts";
import { Evaluations } from "../measure/evaluations.ts";
import type { ParameterRules } from "../step/parameter_rules.ts";
import { TrainStep } from "../step/train_step.ts";
import type { LossRing } from "./loss_ring.ts";
import type { RunOptions } from "./run_options.ts";

/** What is compiled for a run, for the device that its store is on. */
export class RunPrograms {
  readonly #evaluations: Evaluations;
  /** The same of the averages of the weights, where there are some. */
  readonly #ofAverages: Evaluations;
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
    this.#ofAverages = new Evaluations(model, {
      ...measures,
      weights: (name) => rules.averageOf(model, name),
    });
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
    const isOfAverages = this.#rules.hasAverage && await this.#ring.updates() > 0;
    return await (isOfAverages ? this.#ofAverages : this.#evaluations).run(source, order, signal);
  }

  /** Forgets what was compiled, and frees it behind. */
  free(): void {
    const closing = Promise.allSettled([this.#step]);
    this.#step = undefined;
    this.#evaluations.free();
    this.#ofAverages.free();
    this.#freeing = this.#freeing.then(async () => {
      for (const compiled of await closing) if (compiled.status === "fulfilled") compiled.value?.close();
    });
  }

  /** Resolves when all that was forgotten is freed. */
  async freed(): Promise<void> {
    await this.#freeing;
  }
}
