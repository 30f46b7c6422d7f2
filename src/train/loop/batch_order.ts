import {
  type BatchRequest,
  type BatchSource,
  type OrderKey,
  trainingBatches,
} from "../../data/batch_source.ts";
import { ORDER_VERSION } from "../../data/permutation.ts";
import type { Seed } from "../../data/seed.ts";
import type { TrainingState } from "./training_state.ts";

/**
 * Which batch each step of a run has. Batch after batch and epoch after epoch, unless the size of the batches was changed on purpose: then
 * the epoch went on with the examples that it had not seen.
 */
export class BatchOrder {
  readonly batchesPerEpoch: number;
  readonly #batchSize: number;
  readonly #seed: Seed;
  /** How far the number of a step's batch, counted over all epochs, is ahead of the number of the step. */
  #shift = 0;
  #orderVersion = ORDER_VERSION;

  /** @throws RangeError for data that has no whole batch. */
  constructor(data: BatchSource, seed: Seed) {
    this.batchesPerEpoch = trainingBatches(data);
    this.#batchSize = data.batchSize;
    this.#seed = seed;
  }

  /** What says in which order the examples of an epoch are. */
  get key(): Required<OrderKey> {
    return { seed: this.#seed, orderVersion: this.#orderVersion };
  }

  /** The batch of step `step`, from 0. */
  requestOf(step: number): BatchRequest {
    const position = (step + this.#shift) % this.batchesPerEpoch;
    return { ...this.key, epoch: this.epochsAfter(step), position };
  }

  /** Whole epochs that are done after `steps` steps. */
  epochsAfter(steps: number): number {
    return Math.floor((steps + this.#shift) / this.batchesPerEpoch);
  }

  /** The 1-based epoch of the last of `steps` steps; 1 before the first. */
  epochOfLast(steps: number): number {
    return Math.max(1, Math.ceil((steps + this.#shift) / this.batchesPerEpoch));
  }

  /** Steps done when `epochs` epochs are. */
  stepsAfter(epochs: number): number {
    return epochs * this.batchesPerEpoch - this.#shift;
  }

  /** Goes on from where a checkpoint was. */
  goOnFrom({ step, loader, batchSize, batchesPerEpoch, orderVersion }: TrainingState): void {
    this.#orderVersion = orderVersion;
    const isSame = batchSize === this.#batchSize && batchesPerEpoch === this.batchesPerEpoch;
    const seen = loader.position * batchSize;
    const position = isSame ? loader.position : Math.floor(seen / this.#batchSize);
    this.#shift = loader.epoch * this.batchesPerEpoch + Math.min(position, this.batchesPerEpoch - 1) - step;
  }
}
