import type { Named } from "../base/parts/named.ts";
import type { OptionNames } from "../base/options/options.ts";
import type { ExampleSpec } from "./batch_source.ts";
import type { Example } from "./example.ts";
import type { ExampleRandom } from "./example_random.ts";

/**
 * Makes an example of a record, such as an image of a file, or another one of an example. What it changes at random it
 * draws from `random`, which follows from the seed, the epoch and `index` alone.
 */
export type Transform<R = Example> = (
  record: R,
  random: ExampleRandom,
  index: number,
) => Example | Promise<Example>;

/** What loaders of examples have in common. */
export interface ExampleLoaderOptions<R = Example> {
  /** Examples in a batch, at least 1. */
  readonly batchSize: number;
  /** What is done to each example after it was read. Default: nothing. */
  readonly transform?: Transform<R> | undefined;
  /** What one example of the inputs is; of several each by its name. Default: what the first example says. */
  readonly inputs?: Named<ExampleSpec> | undefined;
  /**
   * What the label of one example is, such as `{ dtype: "u32", shape: [] }` of a class. Default: what the first example
   * says.
   */
  readonly labels?: Named<ExampleSpec> | undefined;
  /** How many batches are read before they are needed, from 0. Default 2. */
  readonly prefetch?: number | undefined;
  /** Whether training leaves out the last batch of an epoch when it is smaller than the others. Default false. */
  readonly dropLast?: boolean | undefined;
}

/** Every option of {@link ExampleLoaderOptions}. */
export const EXAMPLE_LOADER_OPTIONS: OptionNames<ExampleLoaderOptions> = {
  batchSize: true,
  transform: true,
  inputs: true,
  labels: true,
  prefetch: true,
  dropLast: true,
};

/** @throws RangeError for an invalid size or number of batches, TypeError for a transform that is no function. */
export function requireLoaderOptions<R>(
  { batchSize, prefetch = 0, transform }: ExampleLoaderOptions<R>,
): void {
  if (!Number.isSafeInteger(batchSize) || batchSize < 1) {
    throw new RangeError(`batchSize is an integer from 1, found ${batchSize}`);
  }
  if (!Number.isSafeInteger(prefetch) || prefetch < 0) {
    throw new RangeError(`prefetch is a number of batches from 0, found ${prefetch}`);
  }
  if (transform !== undefined && typeof transform !== "function") {
    throw new TypeError(`transform is a function, found ${typeof transform}`);
  }
}

/** What `transform` makes of a record; without it a record is an example. */
export function exampleOf<R>(
  record: R,
  transform: Transform<R> | undefined,
  random: () => ExampleRandom,
  index: number,
): Example | Promise<Example> {
  // What is no example is said so when it is put into a batch.
  return transform === undefined ? record as Example : transform(record, random(), index);
}
