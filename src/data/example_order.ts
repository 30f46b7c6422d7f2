import type { Description } from "../base/description.ts";
import type { BatchRequest, OrderKey } from "./batch_source.ts";
import { ORDER_VERSION, Permutation } from "./permutation.ts";
import { checkedSeed, type Seed } from "./seed.ts";

/** An epoch of a run, from 0, and what its order is a function of. */
export interface OrderedEpoch extends OrderKey {
  /** From 0. */
  readonly epoch: number;
}

/**
 * Draws examples: some more often than others, or not at all. What it gives is a function of what it is asked, so that
 * a run is resumed anywhere.
 */
export interface Sampler {
  /** How many examples there are to draw from. */
  readonly exampleCount: number;
  /** How many are drawn in an epoch. */
  readonly drawCount: number;
  /** The example at `place` of the epoch, both from 0. */
  at(place: number, epoch: OrderedEpoch): number;
  /** What it is, for checkpoints. */
  describe(): Description;
}

/** How the examples of an epoch are ordered. */
export interface ExampleOrderOptions {
  /** Whether each epoch has its own order, a function of (seed, epoch). Default false. */
  readonly shuffle?: boolean | undefined;
  /** What draws the examples instead, in an order of its own. */
  readonly sampler?: Sampler | undefined;
  /** Seed of the order. Default: the seed of the run. */
  readonly seed?: Seed | undefined;
}

/** Which example is at which place of an epoch. */
export class ExampleOrder {
  /** Places in an epoch. */
  readonly length: number;
  readonly seed: Seed | undefined;
  readonly sampler: Sampler | undefined;
  readonly #shuffle: boolean;
  #last: { readonly key: string; readonly permutation: Permutation } | undefined;

  /** @throws TypeError or RangeError for options that do not fit together, or an invalid seed. */
  constructor(exampleCount: number, { shuffle = false, sampler, seed }: ExampleOrderOptions) {
    if (sampler !== undefined) requireSampler(sampler, exampleCount, shuffle);
    this.length = sampler?.drawCount ?? exampleCount;
    this.sampler = sampler;
    this.seed = seed === undefined ? undefined : checkedSeed(seed);
    this.#shuffle = shuffle;
  }

  /**
   * The examples of a batch, in its order.
   *
   * @throws RangeError for a position that is not in the epoch.
   */
  batch({ position, epoch, orderVersion, ...run }: BatchRequest, batchSize: number): number[] {
    const batches = Math.ceil(this.length / batchSize);
    if (!Number.isInteger(position) || position < 0 || position >= batches) {
      throw new RangeError(`Batch ${position} is not in an epoch of ${batches} batches`);
    }
    const seed = this.seed ?? run.seed;
    const first = position * batchSize;
    const places = Array.from({ length: Math.min(batchSize, this.length - first) }, (_, at) => first + at);
    const { sampler } = this;
    if (sampler !== undefined) {
      const of: OrderedEpoch = { seed, epoch, ...orderVersion === undefined ? {} : { orderVersion } };
      return places.map((place) => sampler.at(place, of));
    }
    const order = this.#permutation(seed, epoch, orderVersion);
    return order === undefined ? places : places.map((place) => order.at(place));
  }

  #permutation(seed: Seed, epoch: number, version: number = ORDER_VERSION): Permutation | undefined {
    if (!this.#shuffle) return undefined;
    const key = `${seed}/${epoch}/${version}`;
    if (this.#last?.key !== key) {
      this.#last = { key, permutation: new Permutation(this.length, seed, epoch, version) };
    }
    return this.#last.permutation;
  }
}

function requireSampler(sampler: Sampler, exampleCount: number, shuffle: boolean): void {
  const given: Partial<Sampler> | null = sampler;
  if (typeof given?.at !== "function" || typeof given.describe !== "function") {
    throw new TypeError("sampler is one, such as weightedSampler(weights), or has the members of a Sampler");
  }
  if (shuffle) {
    throw new TypeError("A sampler has an order of its own; give sampler or shuffle: true, not both");
  }
  if (sampler.exampleCount === exampleCount) return;
  throw new RangeError(
    `The sampler draws from ${sampler.exampleCount} examples, and there are ${exampleCount}; give it one weight or ` +
      "label for each",
  );
}
