import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import type { RowsAndColumns } from "../../../kernels/sizes.ts";
import type { Padding } from "../movement/pad.ts";
import { rowsAndColumns, type RowsColumns, wholeNumber, type Window } from "./window.ts";

/**
 * Zeros around the input: this many on each side; `"valid"`, none; `"same"`, as many as make the output
 * `ceil(input / stride)`, the odd one behind; or those before and behind, for rows and for columns:
 * `[[top, bottom], [left, right]]`.
 */
export type ConvolutionPadding = "same" | "valid" | RowsColumns | readonly [Padding, Padding];

/** Options of `conv2d`. */
export interface Conv2dOptions {
  /** Default 1. */
  readonly stride?: RowsColumns | undefined;
  /** Default 0, as `"valid"`. */
  readonly padding?: ConvolutionPadding | undefined;
  /** Input elements between neighbouring elements of the kernel. Default 1. */
  readonly dilation?: RowsColumns | undefined;
  /** The number of independent groups of channels; as many as input channels: depthwise. Default 1. */
  readonly groups?: number | undefined;
}

/** Every option of {@link Conv2dOptions}. */
export const CONV2D_OPTIONS: OptionNames<Conv2dOptions> = {
  stride: true,
  padding: true,
  dilation: true,
  groups: true,
};

/** Options of `conv1d`. */
export interface Conv1dOptions {
  /** Default 1. */
  readonly stride?: number | undefined;
  /** Zeros on each side, `[before, behind]`, `"valid"` or `"same"`; see {@link ConvolutionPadding}. Default 0. */
  readonly padding?: "same" | "valid" | number | Padding | undefined;
  /** Default 1. */
  readonly dilation?: number | undefined;
  /** Default 1. */
  readonly groups?: number | undefined;
}

/** Every option of {@link Conv1dOptions}. */
export const CONV1D_OPTIONS: OptionNames<Conv1dOptions> = CONV2D_OPTIONS;

/** Options of `convTranspose2d`. */
export interface ConvTranspose2dOptions {
  /** Default 1. */
  readonly stride?: RowsColumns | undefined;
  /** Rows and columns of the result that are left out on each side. Default 0. */
  readonly padding?: RowsColumns | undefined;
  /** Extra rows and columns of the result; below the stride. Default 0. */
  readonly outputPadding?: RowsColumns | undefined;
  /** Default 1. */
  readonly dilation?: RowsColumns | undefined;
  /** Default 1. */
  readonly groups?: number | undefined;
}

/** Every option of {@link ConvTranspose2dOptions}. */
export const CONV_TRANSPOSE2D_OPTIONS: OptionNames<ConvTranspose2dOptions> = {
  stride: true,
  padding: true,
  outputPadding: true,
  dilation: true,
  groups: true,
};

/** The options of `conv2d`, checked, with their defaults. */
export function conv2dWindow(
  op: string,
  kernel: RowsAndColumns,
  options: Conv2dOptions,
): Window & { readonly groups: number } {
  checkOptions(`${op}()`, options, CONV2D_OPTIONS, '{ stride: 2, padding: "same" }');
  const { stride = 1, dilation = 1, groups = 1 } = options;
  return {
    kernel,
    stride: rowsAndColumns(op, "stride", stride, 1),
    dilation: rowsAndColumns(op, "dilation", dilation, 1),
    groups: wholeNumber(op, "groups", groups, 1),
  };
}

/** Zeros before and after, for rows and for columns. */
export function paddingOf(
  op: string,
  padding: ConvolutionPadding,
  input: RowsAndColumns,
  window: Window,
): readonly [Padding, Padding] {
  if (padding === "valid") return [[0, 0], [0, 0]];
  if (padding === "same") return [sameZeros(input, window, 0), sameZeros(input, window, 1)];
  if (typeof padding === "string") {
    throw new TypeError(`${op}: padding "${padding}" is none; it is "same", "valid" or numbers`);
  }
  if (typeof padding === "number") return paddingOf(op, [padding, padding], input, window);
  const [rows, columns] = padding;
  return [sidesOf(op, rows), sidesOf(op, columns)];
}

function sidesOf(op: string, given: number | Padding): Padding {
  const sides = typeof given === "number" ? [given, given] as const : given;
  return [wholeNumber(op, "padding", sides[0], 0), wholeNumber(op, "padding", sides[1], 0)];
}

function sameZeros(input: RowsAndColumns, { kernel, stride, dilation }: Window, axis: 0 | 1): Padding {
  const output = Math.ceil(input[axis] / stride[axis]);
  const needed = (output - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1 - input[axis];
  const zeros = Math.max(0, needed);
  return [Math.floor(zeros / 2), Math.ceil(zeros / 2)];
}
