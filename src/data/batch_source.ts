import type { Description } from "../base/description.ts";
import type { DType } from "../base/dtype.ts";
import type { Named } from "../base/parts/named.ts";
import type { Shape } from "../tensor/shape.ts";
import type { Seed } from "./seed.ts";

/** The tensor of one example, without the batch axis. */
export interface ExampleSpec {
  /** The dtype of its elements. */
  readonly dtype: DType;
  /** Sizes of its dimensions, outermost first; `[]` where an example is one number. */
  readonly shape: Shape;
}

/** Some examples, one after the other. */
export interface Batch {
  /**
   * Elements of the inputs, `size * elements of one input`, in the order of the shape `[size, …]`; of several inputs
   * each by its name.
   */
  readonly inputs: Named<ArrayBufferView>;
  /** Elements of the labels. */
  readonly labels: Named<ArrayBufferView>;
}

/** What the orders of a run's data are a function of, beside the epoch. */
export interface OrderKey {
  /** The run's. */
  readonly seed: Seed;
  /** Of the orders that the run was begun with, for a source that shuffles by `Permutation`. Default: the newest. */
  readonly orderVersion?: number;
}

/** Which batch: number `position` (from 0) of `epoch` (from 0). */
export interface BatchRequest extends OrderKey {
  /** Number of the epoch, from 0. */
  readonly epoch: number;
  /** Number of the batch in its epoch, from 0. */
  readonly position: number;
}

/** Batches of a source one after the other, and what is held open for them. */
export interface BatchReader {
  /** The requested batch, as the source gives it. Several may be asked for before the first is there. */
  batchAt(request: BatchRequest): Batch | Promise<Batch>;
  /** Says that nobody reads a batch of this reader any more, so that its memory may be used for another one. */
  reuse?(batch: Batch): void;
  /** Gives back what is held open. Batches that are not there yet need not come any more. */
  close(): Promise<void>;
}

/**
 * Where batches come from. {@link DataLoader} is one; one's own has the first five members. `batchAt` has to be a
 * pure function of its argument: that is what lets a run be resumed in the middle of an epoch.
 */
export interface BatchSource {
  /** Examples in a batch. */
  readonly batchSize: number;
  /** Examples in an epoch. Where they fill no whole number of batches, the last batch is a smaller one. */
  readonly exampleCount: number;
  /**
   * Whether training leaves out the last batch of an epoch when it is smaller than the others. Default false; without
   * it a resumed run goes on as it began. Evaluation never leaves one out.
   */
  readonly dropLast?: boolean | undefined;
  /** What one example of the inputs is; of several inputs each by its name. */
  readonly inputs: Named<ExampleSpec>;
  /** What the label of one example is; of several labels each by its name. */
  readonly labels: Named<ExampleSpec>;
  /** The requested batch. The same request always gives the same bytes. */
  batchAt(request: BatchRequest): Batch | Promise<Batch>;
  /** How many batches are asked for before they are needed, so that they are read while the GPU works. Default 0. */
  readonly prefetch?: number | undefined;
  /**
   * What a training or an evaluation reads batches with, and closes when it has ended, failed or was stopped. Without
   * it batches are asked of the source itself.
   */
  openReader?(): BatchReader;
  /** Places of a batch's examples in the data, for messages about one of them. */
  indicesAt?(request: BatchRequest): readonly number[];
  /**
   * What the data and its order are, such as a checksum. A resumed run compares it; what it does not say is not
   * compared.
   */
  describe?(): Promise<Description>;
}

/** What the batches of a source are, whatever is in them. */
export type BatchSpec = Pick<BatchSource, "batchSize" | "inputs" | "labels">;

/**
 * Batches in an epoch of training: with a smaller last one, or with `dropLast` without. Throws a `RangeError` when
 * there is none, or a size is no number.
 */
export function trainingBatches(source: BatchSource): number {
  const { batchSize, exampleCount, dropLast = false } = requireExamples("The training data", source);
  if (!dropLast) return evaluationBatches(source);
  const batches = wholeBatches(source);
  if (batches < 1) {
    throw new RangeError(
      `${exampleCount} examples do not fill one batch of ${batchSize}, and dropLast leaves out what does not; ` +
        "give a smaller batchSize, or no dropLast",
    );
  }
  return batches;
}

/** Batches of an epoch that are not smaller than the others. */
export function wholeBatches({ batchSize, exampleCount }: BatchSource): number {
  return Math.floor(exampleCount / batchSize);
}

/** Examples of batch `position` of an epoch: the last one may be smaller. */
export function sizeOfBatch({ batchSize, exampleCount }: BatchSource, position: number): number {
  return Math.min(batchSize, exampleCount - position * batchSize);
}

/**
 * `source`, or a `RangeError` when it has no examples, of which there is no mean, or a size is no number.
 *
 * @param what Such as "The validation data".
 */
export function requireExamples(what: string, source: BatchSource): BatchSource {
  requireInteger("batchSize", source.batchSize, 1);
  requireInteger("exampleCount", source.exampleCount, 0);
  if (source.exampleCount > 0) return source;
  throw new RangeError(
    `${what} has no examples (exampleCount is 0), so that nothing can be measured; give it some`,
  );
}

function requireInteger(name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new RangeError(`${name} of a batch source is an integer from ${least}, found ${value}`);
}

/** Batches that cover every example once; the last one may be smaller. */
export function evaluationBatches(source: BatchSource): number {
  return Math.ceil(source.exampleCount / source.batchSize);
}
