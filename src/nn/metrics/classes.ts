import type { OptionNames } from "../../base/options/options.ts";
import { argmax } from "../../graph/ops/argmax.ts";
import { cast } from "../../graph/ops/cast.ts";
import { equal, greater, notEqual, where } from "../../graph/ops/comparison.ts";
import { reshape } from "../../graph/ops/views.ts";
import type { Value } from "../../graph/value.ts";
import { formatShape, shapesEqual } from "../../tensor/shape.ts";
import { classLabels, isClassDType } from "../losses/labels.ts";

/** Options of every metric of classes. */
export interface ClassMetricOptions {
  /** The label that stands for none and is not counted. Default -100 among i32, and none among others. */
  readonly ignoreIndex?: number | undefined;
  /**
   * Above which each number of the output is a yes. Given, the output is taken for answers of yes and no, also where
   * labels of f32 could be what to expect of every class. Default 0, the middle of logits.
   */
  readonly threshold?: number | undefined;
}

/** Every option of {@link ClassMetricOptions}. */
export const CLASS_METRIC_OPTIONS: OptionNames<ClassMetricOptions> = { ignoreIndex: true, threshold: true };

/** What is labelled and what was predicted, row by row. */
export interface ClassRows {
  readonly classes: number;
  /** `[rows]`, u32; the number of classes where the row does not count. */
  readonly labels: Value;
  /** `[rows]`, u32. */
  readonly predicted: Value;
  /** `[rows]`, u32, 1 where the row counts; `undefined` where all do. */
  readonly counts: Value | undefined;
}

/**
 * The classes of a batch: `[batch, …, classes]` logits with a label each, or with what to expect of every class; or
 * numbers of which each is a yes or a no, with labels of the same shape. TypeError for labels that fit neither.
 */
export function classRows(
  metric: string,
  output: Value,
  labels: Value,
  options: ClassMetricOptions,
): ClassRows {
  if (output.dtype !== "f32") {
    throw new TypeError(`${metric}: takes an output of f32, found ${output.dtype}`);
  }
  const isSame = shapesEqual(output.shape, labels.shape);
  const isClasses = isClassDType(labels);
  const isSoft = labels.dtype === "f32" && output.shape.length > 1 && (output.shape.at(-1) ?? 0) > 1;
  if (isSame && (isClasses || !isSoft || options.threshold !== undefined)) {
    return answers(metric, output, labels, options);
  }
  const classes = output.shape.at(-1) ?? 0;
  const predicted = reshape(argmax(output), [-1]);
  if (isSame) {
    return { classes, labels: reshape(argmax(labels), [-1]), predicted, counts: undefined };
  }
  if (output.shape.length < 2) throw misfit(metric, output, labels);
  const found = classLabels(metric, output, labels, options.ignoreIndex);
  return counted({ classes, labels: found.classes, predicted }, found.isIgnored);
}

/** Numbers of which each is a yes or a no. */
function answers(
  metric: string,
  output: Value,
  labels: Value,
  { ignoreIndex, threshold = 0 }: ClassMetricOptions,
): ClassRows {
  const predicted = reshape(greater(output, threshold), [-1]);
  const flat = reshape(labels, [-1]);
  if (labels.dtype === "f32") {
    const ignored = ignoreIndex === undefined ? undefined : equal(flat, ignoreIndex);
    return counted({ classes: 2, labels: greater(flat, 0.5), predicted }, ignored);
  }
  if (!isClassDType(labels)) throw misfit(metric, output, labels);
  const numbers = labels.dtype === "u8" ? cast(flat, "u32") : flat;
  const ignored = ignoreIndex ?? (labels.dtype === "i32" ? -100 : undefined);
  const rows = { classes: 2, labels: notEqual(numbers, 0), predicted };
  return counted(rows, ignored === undefined ? undefined : equal(numbers, ignored));
}

function counted(
  rows: Pick<ClassRows, "classes" | "labels" | "predicted">,
  isIgnored: Value | undefined,
): ClassRows {
  if (isIgnored === undefined) return { ...rows, counts: undefined };
  return { ...rows, labels: where(isIgnored, rows.classes, rows.labels), counts: equal(isIgnored, 0) };
}

function misfit(metric: string, output: Value, labels: Value): TypeError {
  return new TypeError(
    `${metric}: the output is ${formatShape(output.shape)} and the labels are ${labels.dtype} of shape ` +
      `${formatShape(labels.shape)}; labels have the output's shape, or that without the last axis`,
  );
}
