import { requireAwaited } from "../base/options/kind_of.ts";
import { crc32 } from "../base/crc32/crc32.ts";
import { nextTurn } from "../base/event_loop.ts";
import type { Description } from "../base/description.ts";
import { checkOptions, type OptionNames } from "../base/options/options.ts";
import { byteSizeOf } from "../base/dtype.ts";
import { HostTensor } from "../tensor/host_tensor.ts";
import { type TensorLike, tensorOf } from "../tensor/tensor_like.ts";
import { elementCount, formatShape } from "../tensor/shape.ts";
import {
  type Batch,
  type BatchRequest,
  type BatchSource,
  evaluationBatches,
  type ExampleSpec,
} from "./batch_source.ts";
import { batchArray } from "./example.ts";
import { ExampleOrder, type Sampler } from "./example_order.ts";
import type { Seed } from "./seed.ts";

/** Examples in memory: the first axis of both counts them. */
export interface Dataset<T extends TensorLike = HostTensor> {
  /** `[examples, …]` */
  readonly inputs: T;
  /** `[examples]` or `[examples, …]`; classes are u32, as in a `Uint32Array`. */
  readonly labels: T;
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

/** What takes a few milliseconds. */
const CHECKSUM_SLICE_BYTES = 16 * 1024 * 1024;

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
export class DataLoader implements BatchSource {
  readonly batchSize: number;
  readonly exampleCount: number;
  readonly inputs: ExampleSpec;
  readonly labels: ExampleSpec;
  /** Whether each epoch has its own order. */
  readonly shuffle: boolean;
  /** Whether training leaves out a smaller last batch; `undefined` where it was not said. */
  readonly dropLast: boolean | undefined;
  /** Seed of the order; `undefined` where it is that of the run. */
  readonly seed: Seed | undefined;
  readonly #inputRows: Rows;
  readonly #labelRows: Rows;
  readonly #order: ExampleOrder;
  #state: LoaderState = { epoch: 0, position: 0 };
  #checksums: Promise<readonly [inputs: number, labels: number]> | undefined;

  private constructor(dataset: Dataset, exampleCount: number, options: DataLoaderOptions) {
    this.batchSize = options.batchSize;
    this.#order = new ExampleOrder(exampleCount, options);
    this.exampleCount = this.#order.length;
    this.shuffle = options.shuffle ?? false;
    this.dropLast = options.dropLast;
    this.seed = this.#order.seed;
    this.#inputRows = new Rows(dataset.inputs);
    this.#labelRows = new Rows(dataset.labels);
    this.inputs = this.#inputRows.example;
    this.labels = this.#labelRows.example;
  }

  /**
   * Throws a `TypeError` when inputs and labels do not count the same, a `RangeError` for an invalid batch size and for
   * a data set without examples. Tensors are not copied; numbers become f32, unless their array says what they are.
   */
  static from(dataset: Dataset<TensorLike>, options: DataLoaderOptions): DataLoader {
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
    const tensors = { inputs: tensorIn(dataset, "inputs"), labels: tensorIn(dataset, "labels") };
    const [inputCount] = tensors.inputs.shape;
    const [labelCount] = tensors.labels.shape;
    if (inputCount === undefined || inputCount !== labelCount) {
      throw new TypeError(
        `Inputs and labels count their examples with their first axis, found inputs ` +
          `${formatShape(tensors.inputs.shape)} and labels ${formatShape(tensors.labels.shape)}`,
      );
    }
    if (inputCount === 0) {
      const shape = formatShape(tensors.inputs.shape);
      throw new RangeError(
        `The data set has no examples: its inputs have the shape ${shape}; give it at least one`,
      );
    }
    return new DataLoader(tensors, inputCount, options);
  }

  /**
   * The batch as typed arrays of its own. The last of an epoch has fewer examples where they do not divide.
   */
  batchAt(request: BatchRequest): Batch {
    const rows = this.indicesAt(request);
    return { inputs: this.#inputRows.gather(rows), labels: this.#labelRows.gather(rows) };
  }

  /** Rows of the data set that the batch is made of, in its order. */
  indicesAt(request: BatchRequest): number[] {
    const { position } = request;
    const batches = evaluationBatches(this);
    if (!Number.isInteger(position) || position < 0 || position >= batches) {
      throw new RangeError(`Batch ${position} is not in an epoch of ${batches} batches`);
    }
    const first = position * this.batchSize;
    return this.#order.indices(first, Math.min(this.batchSize, this.exampleCount - first), request);
  }

  /** Checksums of inputs and labels, which are computed once, and how they are shuffled. */
  async describe(): Promise<Description> {
    const [inputs, labels] = await (this.#checksums ??= this.#computeChecksums());
    return {
      name: "DataLoader",
      inputs,
      labels,
      shuffle: this.shuffle,
      seed: this.seed === undefined ? null : String(this.seed),
      ...this.#order.sampler === undefined ? {} : { sampler: this.#order.sampler.describe() },
    };
  }

  async #computeChecksums(): Promise<readonly [inputs: number, labels: number]> {
    return [await this.#inputRows.checksum(), await this.#labelRows.checksum()];
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
  next(): Batch {
    const { epoch, position } = this.#state;
    const batch = this.batchAt({ seed: 0, epoch, position });
    this.#state = position + 1 < evaluationBatches(this)
      ? { epoch, position: position + 1 }
      : { epoch: epoch + 1, position: 0 };
    return batch;
  }
}

function tensorIn(dataset: Dataset<TensorLike>, what: "inputs" | "labels"): HostTensor {
  const given: unknown = dataset[what];
  requireAwaited(`The ${what} of a data set`, given, "the call that reads them");
  if (given === undefined || given === null) {
    throw new TypeError(`A data set has ${what}: a HostTensor, nested arrays of numbers, or a typed array`);
  }
  return tensorOf(dataset[what], what);
}

/** The first axis of a tensor as rows of bytes. */
class Rows {
  readonly example: ExampleSpec;
  readonly #bytes: Uint8Array;
  readonly #rowBytes: number;

  constructor(tensor: HostTensor) {
    this.example = { dtype: tensor.dtype, shape: tensor.shape.slice(1) };
    this.#bytes = tensor.bytes;
    this.#rowBytes = elementCount(this.example.shape) * byteSizeOf(tensor.dtype);
  }

  /** Of all bytes. The thread does other things in between. */
  async checksum(): Promise<number> {
    let checksum = 0;
    for (let start = 0; start < this.#bytes.byteLength; start += CHECKSUM_SLICE_BYTES) {
      if (start > 0) await nextTurn();
      checksum = crc32(this.#bytes.subarray(start, start + CHECKSUM_SLICE_BYTES), checksum);
    }
    return checksum;
  }

  gather(rows: readonly number[]): ArrayBufferView {
    const rowBytes = this.#rowBytes;
    const gathered = new Uint8Array(rows.length * rowBytes);
    rows.forEach((row, index) =>
      gathered.set(this.#bytes.subarray(row * rowBytes, (row + 1) * rowBytes), index * rowBytes)
    );
    return batchArray(gathered, this.example, rows.length);
  }
}
