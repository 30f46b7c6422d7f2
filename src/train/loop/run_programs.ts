import type { Metric } from "../../nn/metrics/metric.ts";
import type { Model } from "../../nn/model.ts";
import { Evaluations } from "../measure/evaluations.ts";
import type { ParameterRules } from "../step/parameter_rules.ts";
import { TrainStep } from "../step/train_step.ts";
import type { LossRing } from "./loss_ring.ts";
import type { RunOptions } from "./run_options.ts";

/** What is compiled for a run, for the device that its store is on. */
export class RunPrograms {
  readonly evaluations: Evaluations;
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
    this.evaluations = new Evaluations(model, { loss: options.loss, metrics });
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

  /** Forgets what was compiled, and frees it behind. */
  free(): void {
    const closing = Promise.allSettled([this.#step]);
    this.#step = undefined;
    this.evaluations.free();
    this.#freeing = this.#freeing.then(async () => {
      for (const compiled of await closing) if (compiled.status === "fulfilled") compiled.value?.close();
    });
  }

  /** Resolves when all that was forgotten is freed. */
  async freed(): Promise<void> {
    await this.#freeing;
  }
}
