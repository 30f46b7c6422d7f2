import type { Description } from "../../base/description.ts";
import { trainingBatches } from "../../data/batch_source.ts";
import {
  differencesOf,
  recordedSettings,
  type RunChange,
  type RunDifference,
  type RunIdentity,
} from "./run_identity.ts";
import type { RunOptions } from "./run_options.ts";
import type { Seed } from "../../data/seed.ts";
import type { TrainingState } from "./training_state.ts";

/** What a checkpoint says of the run that it is of, and what was changed of that on purpose. */
export class RunRecord {
  readonly #options: RunOptions;
  readonly #seed: Seed;
  #data: Description | undefined;
  #changes: readonly RunChange[] = [];

  constructor(options: RunOptions, seed: Seed) {
    this.#options = options;
    this.#seed = seed;
  }

  /** What was changed on purpose while it ran, oldest first. */
  get changes(): readonly RunChange[] {
    return this.#changes;
  }

  /** What the run is. */
  get identity(): RunIdentity {
    const { data, optimizer, loss } = this.#options;
    return {
      batchesPerEpoch: trainingBatches(data),
      batchSize: data.batchSize,
      seed: this.#seed,
      exampleCount: data.exampleCount,
      optimizer: optimizer.name,
      parts: recordedSettings(optimizer, loss, this.#data),
    };
  }

  /** Finds out what there is to find out, once: a checksum of the data takes a while. */
  async complete(): Promise<void> {
    this.#data ??= await this.#options.data.describe?.();
  }

  /** All in which the run of `state` differs from this one. */
  differencesFrom(state: TrainingState): RunDifference[] {
    return differencesOf(state, this.identity);
  }

  /** Goes on from `state`, in spite of the differences. */
  goOnFrom({ step, changes = [] }: TrainingState, differences: readonly RunDifference[]): void {
    const added = differences.map(({ part, what, found, expected }): RunChange => {
      return { step, part, what, from: found, to: expected };
    });
    this.#changes = [...changes, ...added];
  }
}
