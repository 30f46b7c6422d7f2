import { requireAwaited } from "../base/options/kind_of.ts";
import { type Like, type Named, namedOf, type Parts, partsOf, partText } from "../base/parts/named.ts";
import type { Description } from "../base/description.ts";
import { checkOptions, type OptionNames } from "../base/options/options.ts";
import { HostTensor } from "../tensor/host_tensor.ts";
import { isTensorLike, type TensorLike, tensorOf } from "../tensor/tensor_like.ts";
import { formatShape } from "../tensor/shape.ts";
import {
  type Batch,
  type BatchRequest,
  type BatchSource,
  evaluationBatches,
  type ExampleSpec,
} from "./batch_source.ts";
import { ExampleOrder, type Sampler } from "./example_order.ts";
import type { Seed } from "./seed.ts";
import { TensorRows } from "./rows/tensor_rows.ts";

/** Examples in memory: the first axis of each tensor counts them. */
export interface Dataset<Inputs = HostTensor, Labels = Inputs> {
  /** `[examples, …]`; several by name, such as `{ image, meta }`. */
  readonly inputs: Inputs;
  /** `[examples]` or `[examples, …]`; classes are u32, as in a `Uint32Array`. Several by name. */
  readonly labels: Labels;
}

/** Every option of {@link Dataset}. */
export const DATASET: OptionNames<Dataset> = { inputs: true, labels: true };

/** Options of {@link DataLoader.from}. */
export interface DataLoaderOptions {
  /** Examples in a batch, at least 1. What is left of an epoch beyond whole batches is a smaller batch. */
  readonly batchSize: number;
  /** Whether each epoch has its own order, a function of (seed, epoch). Default false. */
  readonly shuffle?: boolean | undefined;
  /** What draws the examples instead of `shuffle`: `weightedSampler(weights)`, `balancedSampler(labels)`. */
  readonly sampler?: Sampler | undefined;
  /** Seed of the order. Default: the seed of the run. */
  readonly seed?: Seed | undefined;
  /**
   * Whether training leaves out the last batch of an epoch when it is smaller than the others. Default false: it is
   * trained on, at its size. A resumed run goes on as it began unless this says otherwise.
   */
  readonly dropLast?: boolean | undefined;
}

/** Every option of {@link DataLoaderOptions}. */
export const DATA_LOADER_OPTIONS: OptionNames<DataLoaderOptions> = {
  batchSize: true,
  shuffle: true,
  sampler: true,
  seed: true,
  dropLast: true,
};

/** A batch of a {@link DataLoader}: a typed array each. */
export interface LoadedBatch<Inputs = TensorLike, Labels = TensorLike> extends Batch {
  /** `[size, …]`; of several inputs each by its name. */
  readonly inputs: Like<Inputs, TensorLike, ArrayBufferView>;
  /** `[size]` or `[size, …]`; of several labels each by its name. */
  readonly labels: Like<Labels, TensorLike, ArrayBufferView>;
}

/** Where a loader stands: before batch `position` of `epoch`, both from 0. */
export interface LoaderState {
  /** Number of the epoch, from 0. */
  readonly epoch: number;
  /** Number of the next batch in it, from 0. */
  readonly position: number;
}

/**
 * Batches of a data set in memory. The order of an epoch is a seeded permutation that can be computed anew and is not
 * stored, so that every batch of every epoch is reached in O(1) and a resumed run sees exactly what it would
 * have seen.
 */
export class DataLoader<Inputs = TensorLike, Labels = TensorLike> implements BatchSource {
  readonly batchSize: number;
  readonly exampleCount: number;
  readonly inputs: Like<Inputs, TensorLike, ExampleSpec>;
  readonly labels: Like<Labels, TensorLike, ExampleSpec>;
  /** Whether each epoch has its own order. */
  readonly shuffle: boolean;
  /** Whether training leaves out a smaller last batch; `undefined` where it was not said. */
  readonly dropLast: boolean | undefined;
  /** Seed of the order; `undefined` where it is that of the run. */
  readonly seed: Seed | undefined;
  readonly #rows: Parts<TensorRows>;
  readonly #order: ExampleOrder;
  #state: LoaderState = { epoch: 0, position: 0 };
  #checksums: Promise<Parts<number>> | undefined;

  private constructor(rows: Parts<TensorRows>, exampleCount: number, options: DataLoaderOptions) {
    this.batchSize = options.batchSize;
    this.#order = new ExampleOrder(exampleCount, options);
    this.exampleCount = this.#order.length;
    this.shuffle = options.shuffle ?? false;
    this.dropLast = options.dropLast;
    this.seed = this.#order.seed;
    this.#rows = rows;
    const specs = mapParts(rows, ({ row }) => row);
    this.inputs = namedOf("inputs", specs) as Like<Inputs, TensorLike, ExampleSpec>;
    this.labels = namedOf("labels", specs) as Like<Labels, TensorLike, ExampleSpec>;
  }

  /**
   * Throws a `TypeError` when inputs and labels do not count the same, a `RangeError` for an invalid batch size and for
   * a data set without examples. Tensors are not copied; numbers become f32, unless their array says what they are.
   */
  static from<Inputs extends Named<TensorLike>, Labels extends Named<TensorLike>>(
    dataset: Dataset<Inputs, Labels>,
    options: DataLoaderOptions,
  ): DataLoader<Inputs, Labels> {
    const { batchSize } = checkOptions(
      "DataLoader.from()",
      options,
      DATA_LOADER_OPTIONS,
      "{ batchSize: 64 }",
    );
    checkOptions("DataLoader.from()", dataset, DATASET);
    if (!Number.isSafeInteger(batchSize) || batchSize < 1) {
      throw new RangeError(`batchSize is an integer from 1, found ${batchSize}`);
    }
    const tensors = { ...tensorsIn(dataset, "inputs"), ...tensorsIn(dataset, "labels") };
    const exampleCount = examplesOf(tensors);
    return new DataLoader(mapParts(tensors, (tensor) => new TensorRows(tensor)), exampleCount, options);
  }

  /**
   * The batch as typed arrays of its own. The last of an epoch has fewer examples where they do not divide.
   */
  batchAt(request: BatchRequest): LoadedBatch<Inputs, Labels> {
    const indices = this.indicesAt(request);
    const arrays = mapParts(this.#rows, (rows) => rows.gather(indices));
    return {
      inputs: namedOf("inputs", arrays) as Like<Inputs, TensorLike, ArrayBufferView>,
      labels: namedOf("labels", arrays) as Like<Labels, TensorLike, ArrayBufferView>,
    };
  }

  /** Rows of the data set that the batch is made of, in its order. */
  indicesAt(request: BatchRequest): number[] {
    return this.#order.batch(request, this.batchSize);
  }

  /** Checksums of inputs and labels, which are computed once, and how they are shuffled. */
  async describe(): Promise<Description> {
    return {
      name: "DataLoader",
      ...await (this.#checksums ??= this.#computeChecksums()),
      shuffle: this.shuffle,
      seed: this.seed === undefined ? null : String(this.seed),
      ...this.#order.sampler === undefined ? {} : { sampler: this.#order.sampler.describe() },
    };
  }

  async #computeChecksums(): Promise<Parts<number>> {
    const checksums: Record<string, number> = {};
    for (const [part, rows] of Object.entries(this.#rows)) checksums[part] = await rows.checksum();
    return checksums;
  }

  /** Where {@link DataLoader.next} goes on. */
  get state(): LoaderState {
    return this.#state;
  }

  /** Goes to any batch of any epoch in O(1). */
  seek(state: LoaderState): void {
    const { epoch, position } = state;
    const isIn = Number.isSafeInteger(epoch) && epoch >= 0 && Number.isSafeInteger(position) &&
      position >= 0 &&
      position < evaluationBatches(this);
    if (!isIn) throw new RangeError(`There is no batch ${position} of epoch ${epoch}`);
    this.#state = { epoch, position };
  }

  /**
   * The next batch; after the last of an epoch comes the first of the next one. Seed 0 unless the loader has
   * its own.
   */
  next(): LoadedBatch<Inputs, Labels> {
    const { epoch, position } = this.#state;
    const batch = this.batchAt({ seed: 0, epoch, position });
    this.#state = position + 1 < evaluationBatches(this)
      ? { epoch, position: position + 1 }
      : { epoch: epoch + 1, position: 0 };
    return batch;
  }
}

function tensorsIn(
  dataset: Dataset<Named<TensorLike>>,
  what: "inputs" | "labels",
): Parts<HostTensor> {
  const given: unknown = dataset[what];
  requireAwaited(`The ${what} of a data set`, given, "the call that reads them");
  if (given === undefined || given === null) {
    throw new TypeError(
      `A data set has ${what}: a HostTensor, nested arrays of numbers, a typed array, or several by name`,
    );
  }
  return Object.fromEntries(
    Object.entries(partsOf(what, dataset[what], isTensorLike))
      .map(([part, tensor]) => [part, tensorOf(tensor, partText(part))]),
  );
}

/** How many examples each of the tensors has. */
function examplesOf(tensors: Parts<HostTensor>): number {
  const [[first, { shape }] = ["inputs", { shape: [] }], ...others] = Object.entries(tensors);
  const [count] = shape;
  const other = count === undefined ? others[0] : others.find(([, tensor]) => tensor.shape[0] !== count);
  if (count === undefined || other !== undefined) {
    const found = [[first, { shape }] as const, ...other === undefined ? [] : [other]]
      .map(([part, tensor]) => `${partText(part)} ${formatShape(tensor.shape)}`).join(" and ");
    throw new TypeError(`Inputs and labels count their examples with their first axis, found ${found}`);
  }
  if (count > 0) return count;
  throw new RangeError(
    `The data set has no examples: its ${partText(first)} have the shape ${
      formatShape(shape)
    }; give it at least one`,
  );
}

function mapParts<T, U>(parts: Parts<T>, change: (each: T) => U): Parts<U> {
  return Object.fromEntries(Object.entries(parts).map(([part, each]) => [part, change(each)]));
}
