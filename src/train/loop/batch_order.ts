import {
  type BatchRequest,
  type BatchSource,
  type OrderKey,
  sizeOfBatch,
  trainingBatches,
  wholeBatches,
} from "../../data/batch_source.ts";
import { ORDER_VERSION } from "../../data/permutation.ts";
import type { Seed } from "../../data/seed.ts";
import type { TrainingState } from "./training_state.ts";

/**
 * Which batch each step of a run has. Batch after batch and epoch after epoch, unless the size of the batches was
 * changed on purpose: then the epoch went on with the examples that it had not seen.
 */
export class BatchOrder {
  readonly #data: BatchSource;
  readonly #seed: Seed;
  #batchesPerEpoch: number;
  /** How far the number of a step's batch, counted over all epochs, is ahead of the number of the step. */
  #shift = 0;
  #orderVersion = ORDER_VERSION;

  /** @throws RangeError for data that has no whole batch. */
  constructor(data: BatchSource, seed: Seed) {
    this.#data = data;
    this.#batchesPerEpoch = trainingBatches(data);
    this.#seed = seed;
  }

  get batchesPerEpoch(): number {
    return this.#batchesPerEpoch;
  }

  /** Every number of examples that a batch of the run may have, the full one first. */
  get sizes(): number[] {
    const last = sizeOfBatch(this.#data, this.#batchesPerEpoch - 1);
    const { batchSize } = this.#data;
    return this.#batchesPerEpoch === 1 || last === batchSize ? [last] : [batchSize, last];
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

  /** What to tell of examples that are left out since the run was begun so, though nothing says so any more. */
  get omission(): string | undefined {
    const { batchSize, exampleCount, dropLast } = this.#data;
    const omitted = exampleCount - this.#batchesPerEpoch * batchSize;
    if (omitted <= 0 || dropLast !== undefined) return undefined;
    const examples = omitted === 1 ? "example" : `${omitted} examples`;
    return `The run goes on as it was begun, without the last ${examples} of each epoch, which fill no batch: say dropLast: true to ` +
      'keep that, or dropLast: false with resume({ allow: ["data"] }) to train on them from here on';
  }

  /** How many examples the batch of step `step` has. */
  sizeOf(step: number): number {
    return sizeOfBatch(this.#data, this.requestOf(step).position);
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
  goOnFrom(state: TrainingState): void {
    const { step, loader, batchSize, orderVersion } = state;
    this.#orderVersion = orderVersion;
    this.#batchesPerEpoch = batchesOf(this.#data, state);
    const isSame = batchSize === this.#data.batchSize && state.batchesPerEpoch === this.#batchesPerEpoch;
    const seen = loader.position * batchSize;
    const position = isSame ? loader.position : Math.floor(seen / this.#data.batchSize);
    this.#shift = loader.epoch * this.#batchesPerEpoch + Math.min(position, this.#batchesPerEpoch - 1) - step;
  }
}

/**
 * Batches in an epoch of a run that goes on from `state`. Where the source does not say whether a smaller last batch
 * is left out, the run goes on as it was begun; the first versions left it out.
 */
export function batchesOf(data: BatchSource, state: TrainingState): number {
  const isAsBegun = data.dropLast === undefined && state.batchSize === data.batchSize &&
    state.batchesPerEpoch > 0 && state.batchesPerEpoch === wholeBatches(data);
  return isAsBegun ? state.batchesPerEpoch : trainingBatches(data);
}
