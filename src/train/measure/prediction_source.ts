import { CairnError } from "../../base/errors.ts";
import type { OptionNames } from "../../base/options/options.ts";
import { type Work, WORK_OPTIONS } from "../../base/work.ts";
import { type BatchSource, type ExampleSpec, requireExamples } from "../../data/batch_source.ts";
import { DataLoader } from "../../data/data_loader.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import type { HostValues } from "../../tensor/host_values.ts";
import { formatShape, shapesEqual } from "../../tensor/shape.ts";

/** What `Trainer.predict` takes: a tensor or numbers `[examples, …]`, or a data source. */
export type PredictInputs = HostTensor | HostValues | BatchSource;

/** Options of `Trainer.predict`. Its progress is in examples, and its signal stops it between two batches. */
export interface PredictOptions extends Work {
  /** Examples that are computed at once, at least 1. Default: as many as in training. A data source has its own. */
  readonly batchSize?: number | undefined;
}

/** Every option of {@link PredictOptions}. */
export const PREDICT_OPTIONS: OptionNames<PredictOptions> = { ...WORK_OPTIONS, batchSize: true };

/**
 * The examples as batches, or undefined where there are none.
 *
 * @param example What the model takes.
 * @throws CairnError `shape_mismatch`, `dtype_mismatch`; TypeError, RangeError.
 */
export function predictionSource(
  inputs: PredictInputs,
  example: ExampleSpec,
  { batchSize }: PredictOptions,
  defaultBatchSize: number,
): BatchSource | undefined {
  if (isBatchSource(inputs)) {
    if (batchSize !== undefined) {
      throw new TypeError(
        `predict() has the option batchSize for tensors; this data source has batches of ${inputs.batchSize}`,
      );
    }
    requireExample(inputs.inputs, example);
    return requireExamples("The data to predict for", inputs);
  }
  const tensor = inputs instanceof HostTensor ? inputs : HostTensor.from(inputs, undefined, example.dtype);
  const [count, ...shape] = tensor.shape;
  if (count === undefined || shapesEqual(tensor.shape, example.shape)) throw noBatch(tensor, example);
  requireExample({ dtype: tensor.dtype, shape }, example);
  if (count === 0) return undefined;
  // Labels without elements: nothing reads any.
  const labels = HostTensor.fromBytes(new Uint8Array(0), "u8", [count, 0]);
  return DataLoader.from({ inputs: tensor, labels }, { batchSize: batchSize ?? defaultBatchSize });
}

/** Whether `inputs` give batches by themselves. */
export function isBatchSource(inputs: PredictInputs): inputs is BatchSource {
  return typeof (inputs as Partial<BatchSource> | null | undefined)?.batchAt === "function";
}

function requireExample(found: ExampleSpec, expected: ExampleSpec): void {
  const isSameShape = shapesEqual(found.shape, expected.shape);
  if (isSameShape && found.dtype === expected.dtype) return;
  const describe = ({ dtype, shape }: ExampleSpec): string =>
    `${dtype} [${["examples", ...shape].join(", ")}]`;
  throw new CairnError(
    isSameShape ? "dtype_mismatch" : "shape_mismatch",
    `predict() was given ${describe(found)}, and the model takes ${describe(expected)}; ` +
      (isSameShape ? "convert the inputs" : "give one input of that shape for each example"),
  );
}

function noBatch({ dtype, shape }: HostTensor, example: ExampleSpec): CairnError {
  const batch = [1, ...example.shape];
  return new CairnError(
    "shape_mismatch",
    `predict() was given ${dtype} ${
      formatShape(shape)
    }, and the first axis of its inputs counts the examples; ` +
      `a single one has the shape ${formatShape(batch)}`,
  );
}
