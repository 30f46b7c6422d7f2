import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import type { Value } from "../../graph/value.ts";
import { isValue, type Values } from "../../graph/values.ts";
import { isExampleSpec } from "../../data/batch_parts.ts";
import type { AnyMetrics } from "../measure/measures.ts";
import type { Layer } from "../../nn/layer.ts";
import type { Loss } from "../../nn/losses/loss.ts";
import type { Regularizer } from "../../nn/losses/regularizers.ts";
import { accuracy } from "../../nn/metrics/accuracy.ts";
import { type Metric } from "../../nn/metrics/metric.ts";
import { checkClipGradients, type ClipGradientsOptions } from "../step/clip_gradients.ts";
import { checkPrecision, type Precision } from "../step/precision.ts";
import type { Optimizer } from "../../nn/optim/optimizer.ts";
import { checkParallel, type DataParallelOptions } from "../../parallel/data_parallel_options.ts";
import type { BatchSource } from "../../data/batch_source.ts";
import type { Seed } from "../../data/seed.ts";
import type { ValidationOptions } from "./validation_settings.ts";

/** What is trained, on what, and how. */
export interface RunOptions<
  In extends Values = Value,
  Out extends Values = Value,
  Labels extends Values = Value,
> {
  /** Its parameters become tensors of the store. It takes values by name where the data has several inputs. */
  readonly model: Layer<In, Out>;
  /** What is made small: of the losses of a batch, the mean. */
  readonly loss: Loss<Out, Labels>;
  /** What the parameters cost by themselves, by name: `{ l2: nn.l2Penalty(1e-4) }`. Added to the loss of every step. */
  readonly regularizers?: Readonly<Record<string, Regularizer>> | undefined;
  /** How parameters follow from gradients. */
  readonly optimizer: Optimizer;
  /** What is done to gradients that are large: `{ norm: 1 }`. Default: nothing. */
  readonly clipGradients?: ClipGradientsOptions | undefined;
  /** What it is trained on. */
  readonly data: BatchSource;
  /**
   * The most examples that are computed at once. A larger batch is computed in pieces, which are added up before the
   * one update: the same step but for rounding, in the memory of a piece. Where a layer looks at several examples, as
   * batch norm does, it looks at those of a piece. Default: the whole batch.
   */
  readonly microBatchSize?: number | undefined;
  /**
   * Shares each batch out among the ranks of a group: `{ group, shards: 8 }`. The batch is cut into that many shards,
   * whose gradients are added up in a fixed order, so that any number of ranks up to it gives the same bits. With
   * `optimizerSharding: true` each rank keeps a part of what the optimiser has. Not together with `microBatchSize`.
   * Default: the whole batch, here.
   */
  readonly parallel?: DataParallelOptions | undefined;
  /**
   * `"bf16"` or `"f16"`: activations, and the factors of matrix products, convolutions and attention, are rounded to
   * 16 bits, and activations stored so until the way back, in half the memory. Sums, norms, losses, weights, gradients
   * of weights and the optimiser are f32. In f16 the loss is scaled, and a step whose gradients overflow makes the
   * scale smaller and nothing else. Default `"f32"`.
   */
  readonly precision?: Precision | undefined;
  /** Measured after each epoch; with `{ data, everySteps }` also within it. */
  readonly validation?: BatchSource | ValidationOptions | undefined;
  /** Of the initial weights, the order of the data and every random number. Default 0. */
  readonly seed?: Seed | undefined;
  /**
   * Measured with the validation loss. Default: `accuracy` where the labels are classes (whole numbers, one an
   * example).
   */
  readonly metrics?: Readonly<Record<string, Metric<Out, Labels>>> | undefined;
  /**
   * Whether the group `model` that the store has already, of a trainer or step that was closed, is gone on with: its
   * weights stay, everything else of that one is freed. Default false, which refuses it.
   */
  readonly takeOver?: boolean | undefined;
  /** Milliseconds from any origin; only differences are used. Default `performance.now`. */
  readonly now?: (() => number) | undefined;
}

/** Those of any run. */
export type AnyRun = RunOptions<Values, Values, Values>;

/** What of a run is typed by what its model takes and gives. */
interface TypedParts {
  readonly model: Layer<never, Values>;
  readonly loss: Loss<never, never>;
  readonly metrics?: Readonly<Record<string, Metric<never, never>>> | undefined;
}

/** Options as those of any run: whether model, loss and data fit is known by their names and shapes once traced. */
export function untyped<T extends TypedParts>(options: T): Omit<T, keyof TypedParts> & AnyRunParts {
  return options as Omit<T, keyof TypedParts> & AnyRunParts;
}

type AnyRunParts = Pick<AnyRun, keyof TypedParts>;

/** Every option of {@link RunOptions}. */
export const RUN_OPTIONS: OptionNames<RunOptions> = {
  model: true,
  loss: true,
  regularizers: true,
  optimizer: true,
  clipGradients: true,
  data: true,
  microBatchSize: true,
  parallel: true,
  precision: true,
  validation: true,
  seed: true,
  metrics: true,
  takeOver: true,
  now: true,
};

/** A `TypeError` that names the option of a run that is missing or is something else. */
export function requireOptions(options: AnyRun): void {
  const { data } = checkOptions("A trainer", options, RUN_OPTIONS, "{ model, loss, optimizer, data }");
  requireParts(options);
  const source: Partial<BatchSource> | null | undefined = data;
  requireType(typeof source?.batchAt === "function", "data is a DataLoader or a BatchSource", data);
}

/** A `TypeError` or a `RangeError` for what a step cannot be made of. */
export function requireParts(
  { model, loss, optimizer, clipGradients, microBatchSize, parallel, precision }: Pick<
    AnyRun,
    "model" | "loss" | "optimizer" | "clipGradients" | "microBatchSize" | "parallel" | "precision"
  >,
): void {
  requireType(typeof model === "function", "model is a layer", model);
  requireType(typeof loss === "function", "loss is a function, like nn.mse()", loss);
  const isOptimizer = typeof optimizer?.rulesFor === "function";
  requireType(isOptimizer, "optimizer is one, like optim.adamw({ learningRate: 1e-3 })", optimizer);
  checkClipGradients(clipGradients);
  checkPrecision(precision);
  checkParallel(parallel);
  if (microBatchSize === undefined) return;
  if (!Number.isSafeInteger(microBatchSize) || microBatchSize < 1) {
    throw new RangeError(`microBatchSize is an integer from 1, found ${microBatchSize}`);
  }
  if (parallel === undefined) return;
  throw new RangeError(
    "A shard is computed at once: leave microBatchSize out, and give parallel more shards",
  );
}

function requireType(isOne: boolean, what: string, found: unknown): void {
  if (!isOne) throw new TypeError(`${what}, found ${found === null ? "null" : typeof found}`);
}

/** What is measured of a run unless it says something else. */
export function defaultMetrics({ labels }: Pick<BatchSource, "labels">, output: Values): AnyMetrics {
  if (!isExampleSpec(labels) || !isValue(output)) return {};
  const isClass = ["u8", "i32", "u32"].includes(labels.dtype) && labels.shape.length === 0;
  return isClass ? { accuracy: accuracy() as Metric<Values, Values> } : {};
}
