import type { Description } from "../../base/description.ts";
import { batchesOf, type BatchOrder } from "./batch_order.ts";
import {
  differencesOf,
  recordedSettings,
  type RunChange,
  type RunDifference,
  type RunIdentity,
} from "./run_identity.ts";
import type { AnyRun } from "./run_options.ts";
import type { Seed } from "../../data/seed.ts";
import type { TrainingState } from "./training_state.ts";

/** What a checkpoint says of the run that it is of, and what was changed of that on purpose. */
export class RunRecord {
  readonly #options: AnyRun;
  readonly #seed: Seed;
  readonly #order: BatchOrder;
  #data: Description | undefined;
  #changes: readonly RunChange[] = [];

  constructor(options: AnyRun, seed: Seed, order: BatchOrder) {
    this.#options = options;
    this.#seed = seed;
    this.#order = order;
  }

  /** What was changed on purpose while it ran, oldest first. */
  get changes(): readonly RunChange[] {
    return this.#changes;
  }

  /** What the run is. */
  get identity(): RunIdentity {
    const { data, optimizer } = this.#options;
    return {
      batchesPerEpoch: this.#order.batchesPerEpoch,
      batchSize: data.batchSize,
      seed: this.#seed,
      exampleCount: data.exampleCount,
      optimizer: optimizer.name,
      parts: recordedSettings(this.#options, this.#data),
    };
  }

  /** Finds out what there is to find out, once: a checksum of the data takes a while. */
  async complete(): Promise<void> {
    this.#data ??= await this.#options.data.describe?.();
  }

  /** All in which the run of `state` differs from this one. */
  differencesFrom(state: TrainingState): RunDifference[] {
    const batchesPerEpoch = batchesOf(this.#options.data, state);
    return differencesOf(state, { ...this.identity, batchesPerEpoch });
  }

  /** Goes on from `state`, in spite of the differences. */
  goOnFrom({ step, changes = [] }: TrainingState, differences: readonly RunDifference[]): void {
    const added = differences.map(({ part, what, found, expected }): RunChange => {
      return { step, part, what, from: found, to: expected };
    });
    this.#changes = [...changes, ...added];
  }
}
