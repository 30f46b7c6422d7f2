import type { HostTensor } from "../../tensor/host_tensor.ts";
import { AVERAGE_SLOT, slotGroup } from "../../tensor/group_names.ts";
import { isWeight, type TrainingHistory } from "../loop/history.ts";
import type { Run } from "../loop/run.ts";
import { columnsOf, measuredNames } from "../step/kept_terms.ts";
import type { CallbackRun } from "./callback.ts";
import type { TrainingProgress } from "./training_progress.ts";

/** What callbacks see of a run. */
export class RunView implements CallbackRun {
  readonly metricNames: readonly string[];
  readonly termNames: readonly string[];
  readonly #run: Run;
  readonly #progress: () => TrainingProgress;

  constructor(run: Run, progress: () => TrainingProgress) {
    this.#run = run;
    this.#progress = progress;
    this.metricNames = ["loss", ...measuredNames(run)];
    this.termNames = columnsOf(run.kept).filter((name) => !isWeight(name));
  }

  get step(): number {
    return this.#run.step;
  }

  get epoch(): number {
    return this.#run.epoch;
  }

  get walltime(): number {
    return this.#run.walltime;
  }

  get history(): TrainingHistory {
    return this.#run.history;
  }

  get progress(): TrainingProgress {
    return this.#progress();
  }

  learningRateAt(step: number): number | undefined {
    return this.#run.learningRateAt(step);
  }

  scaleLearningRate(factor: number): void {
    this.#run.scaleLearningRate(factor);
  }

  async readWeights(): Promise<ReadonlyMap<string, HostTensor>> {
    const { store, model, slots } = this.#run;
    const groups = [model.group.name, slotGroup(AVERAGE_SLOT)].filter((name) =>
      name === model.group.name || slots.includes(name)
    );
    return await store.read(groups.flatMap((name) => store.group(name).tensors.map(({ name }) => name)));
  }

  writeWeights(weights: ReadonlyMap<string, HostTensor>): void {
    this.#run.store.write(Object.fromEntries(weights));
  }
}
