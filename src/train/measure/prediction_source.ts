import { CairnError } from "../../base/errors.ts";
import type { OptionNames } from "../../base/options/options.ts";
import { type Work, WORK_OPTIONS } from "../../base/work.ts";
import { type Like, type Named, namedOf, type Parts, partsOf, partText } from "../../base/parts/named.ts";
import { requireSameParts, specParts } from "../../data/batch_parts.ts";
import { type BatchSource, type ExampleSpec, requireExamples } from "../../data/batch_source.ts";
import { DataLoader } from "../../data/data_loader.ts";
import type { Value } from "../../graph/value.ts";
import type { Values } from "../../graph/values.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import type { HostValues } from "../../tensor/host_values.ts";
import { formatShape, shapesEqual } from "../../tensor/shape.ts";
import { isTensorLike } from "../../tensor/tensor_like.ts";

/**
 * What `Trainer.predict` takes: a tensor or numbers `[examples, …]`, or a data source. For a model with several inputs
 * each by its name.
 */
export type PredictInputs<In extends Values = Value> = Like<In, Value, HostTensor | HostValues> | BatchSource;

/** What it gives: a tensor `[examples, …]`; of a model with several outputs each by its name. */
export type Predicted<Out extends Values = Value> = Like<Out, Value, HostTensor>;

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
  inputs: PredictInputs<Values>,
  example: Named<ExampleSpec>,
  { batchSize }: PredictOptions,
  defaultBatchSize: number,
): BatchSource | undefined {
  const expected = specParts("inputs", example);
  if (isBatchSource(inputs)) {
    if (batchSize !== undefined) {
      throw new TypeError(
        `predict() has the option batchSize for tensors; this data source has batches of ${inputs.batchSize}`,
      );
    }
    const found = specParts("inputs", inputs.inputs);
    requireSameParts("The data to predict for", expected, Object.keys(found));
    for (const [part, spec] of Object.entries(found)) requireExample(part, spec, expected);
    return requireExamples("The data to predict for", inputs);
  }
  const tensors = tensorsOf(inputs, expected);
  const count = examplesOf(tensors);
  if (count === 0) return undefined;
  // Labels without elements: nothing reads any.
  const labels = HostTensor.fromBytes(new Uint8Array(0), "u8", [count, 0]);
  return DataLoader.from({ inputs: namedOf("inputs", tensors), labels }, {
    batchSize: batchSize ?? defaultBatchSize,
  });
}

/** Whether `inputs` give batches by themselves. */
export function isBatchSource(inputs: unknown): inputs is BatchSource {
  return typeof (inputs as Partial<BatchSource> | null | undefined)?.batchAt === "function";
}

/** Each input as a tensor that the model takes. */
function tensorsOf(inputs: Named<HostTensor | HostValues>, expected: Parts<ExampleSpec>): Parts<HostTensor> {
  const given = partsOf("inputs", inputs, isTensorLike);
  requireSameParts("predict()", expected, Object.keys(given));
  return Object.fromEntries(
    Object.entries(given).map(([part, each]) => {
      const example = expected[part] ?? { dtype: "f32", shape: [] };
      const tensor = each instanceof HostTensor ? each : HostTensor.from(each, undefined, example.dtype);
      if (tensor.shape.length === 0 || shapesEqual(tensor.shape, example.shape)) {
        throw noBatch(part, tensor, example);
      }
      requireExample(part, { dtype: tensor.dtype, shape: tensor.shape.slice(1) }, expected);
      return [part, tensor];
    }),
  );
}

/** How many examples there are. CairnError `shape_mismatch` where two inputs do not count the same. */
function examplesOf(tensors: Parts<HostTensor>): number {
  const [[first, { shape: [count = 0] }] = ["inputs", { shape: [0] }], ...others] = Object.entries(tensors);
  const other = others.find(([, { shape }]) => shape[0] !== count);
  if (other === undefined) return count;
  throw new CairnError(
    "shape_mismatch",
    `predict() was given ${count} examples of ${partText(first)} and ${other[1].shape[0]} of ` +
      `${partText(other[0])}; give as many of each`,
  );
}

function requireExample(part: string, found: ExampleSpec, expected: Parts<ExampleSpec>): void {
  const example = expected[part] ?? found;
  const isSameShape = shapesEqual(found.shape, example.shape);
  if (isSameShape && found.dtype === example.dtype) return;
  const describe = ({ dtype, shape }: ExampleSpec): string =>
    `${dtype} [${["examples", ...shape].join(", ")}]`;
  throw new CairnError(
    isSameShape ? "dtype_mismatch" : "shape_mismatch",
    `predict() was given ${describe(found)}${forPart(part)}, and the model takes ${describe(example)}; ` +
      (isSameShape ? "convert the inputs" : "give one input of that shape for each example"),
  );
}

function noBatch(part: string, { dtype, shape }: HostTensor, example: ExampleSpec): CairnError {
  const batch = [1, ...example.shape];
  return new CairnError(
    "shape_mismatch",
    `predict() was given ${dtype} ${formatShape(shape)}${forPart(part)}, and the first axis of its inputs ` +
      `counts the examples; a single one has the shape ${formatShape(batch)}`,
  );
}

/** Which of several inputs is meant. */
function forPart(part: string): string {
  return part === "inputs" ? "" : ` for ${partText(part, "singular")}`;
}
