import { cast } from "../../graph/ops/cast.ts";
import { equal, where } from "../../graph/ops/comparison.ts";
import { reshape } from "../../graph/ops/views.ts";
import { take } from "../../graph/ops/indexing/take.ts";
import { isResultOf } from "../../graph/create_value.ts";
import { constant, inputOp } from "../../graph/ops/sources.ts";
import type { Value } from "../../graph/value.ts";
import type { HostTensor } from "../../tensor/host_tensor.ts";
import { formatShape, shapesEqual } from "../../tensor/shape.ts";
import type { LabelRange } from "./loss.ts";

/** Labels that are classes, in the form that kernels take. */
export interface ClassLabels {
  /** `[rows]`, u32; class 0 where the label is ignored. */
  readonly classes: Value;
  /** `[rows]`, u32, 1 where the label is ignored; `undefined` where none may be. */
  readonly isIgnored: Value | undefined;
  readonly range: LabelRange;
}

const CLASS_DTYPES = ["u8", "i32", "u32"];

/** What stands for no label among i32 unless another number is given, as in PyTorch. */
const DEFAULT_IGNORED = -100;

/** Whether `labels` may be classes. */
export function isClassDType(labels: Value): boolean {
  return CLASS_DTYPES.includes(labels.dtype);
}

/**
 * The labels of `output` `[batch, …, classes]`, which have its shape without the last axis. TypeError for other
 * labels, and for an index to ignore that their dtype does not have.
 */
export function classLabels(
  loss: string,
  output: Value,
  labels: Value,
  ignoreIndex: number | undefined,
): ClassLabels {
  const positions = output.shape.slice(0, -1);
  if (!isClassDType(labels) || !shapesEqual(labels.shape, positions)) {
    throw new TypeError(
      `${loss}: takes labels of shape ${
        formatShape(positions)
      } and dtype u8, i32 or u32 (the class of each ` +
        `example), found ${labels.dtype} of shape ${formatShape(labels.shape)}`,
    );
  }
  const ignored = ignoreIndex ?? (labels.dtype === "i32" ? DEFAULT_IGNORED : undefined);
  const most = (output.shape.at(-1) ?? 0) - 1;
  const part = isResultOf(inputOp, labels) ? labels.attributes.name : undefined;
  const range = { loss, least: 0, most, ignored, part };
  const flat = reshape(labels, [-1]);
  if (ignored === undefined) return { classes: cast(flat, "u32"), isIgnored: undefined, range };
  if (!isOf(labels.dtype, ignored)) {
    throw new TypeError(`${loss}: ignoreIndex is ${ignored}, which no label of dtype ${labels.dtype} is`);
  }
  const numbers = labels.dtype === "u8" ? cast(flat, "u32") : flat;
  const isIgnored = equal(numbers, ignored);
  return { classes: cast(where(isIgnored, 0, numbers), "u32"), isIgnored, range };
}

/** For how much each row counts: `[rows]`, f32, or `undefined` where all count 1. */
export function rowWeights(
  { classes, isIgnored }: ClassLabels,
  weights: HostTensor | undefined,
): Value | undefined {
  const ofClasses = weights === undefined ? undefined : take(constant(weights), classes);
  if (isIgnored === undefined) return ofClasses;
  return where(isIgnored, 0, ofClasses ?? 1);
}

function isOf(dtype: string, label: number): boolean {
  const [least, most] = dtype === "u8"
    ? [0, 255]
    : dtype === "u32"
    ? [0, 2 ** 32 - 1]
    : [-(2 ** 31), 2 ** 31 - 1];
  return Number.isInteger(label) && label >= least && label <= most;
}
