import type { RowsAndColumns } from "../../../kernels/sizes.ts";
import { formatShape, type Shape } from "../../../tensor/shape.ts";
import { item } from "../../op.ts";
import type { Value } from "../../value.ts";
import type { Padding } from "../movement/pad.ts";

/** One number for rows and columns, or one for each. */
export type RowsColumns = number | readonly [rows: number, columns: number];

/** What is given of a window that moves over rows and columns. */
export interface Window {
  readonly kernel: RowsAndColumns;
  readonly stride: RowsAndColumns;
  readonly dilation: RowsAndColumns;
}

/** One number for each, whole ones from `least`; a `RangeError` that names the option otherwise. */
export function rowsAndColumns(op: string, name: string, given: RowsColumns, least: number): RowsAndColumns {
  const both = typeof given === "number" ? [given, given] : given;
  if (!Array.isArray(both) || both.length !== 2) {
    throw new TypeError(`${op}: ${name} is a number or [rows, columns], found ${JSON.stringify(given)}`);
  }
  return [wholeNumber(op, name, item(both, 0), least), wholeNumber(op, name, item(both, 1), least)];
}

/** A whole number from `least`; a `RangeError` that names the option otherwise. */
export function wholeNumber(op: string, name: string, given: number, least: number): number {
  if (Number.isSafeInteger(given) && given >= least) return given;
  throw new RangeError(`${op}: ${name} is a whole number from ${least}, found ${JSON.stringify(given)}`);
}

/** How often the window fits; a `TypeError` with the sizes where it does not. */
export function outputSize(
  op: string,
  input: RowsAndColumns,
  zeros: readonly [Padding, Padding],
  { kernel, stride, dilation }: Window,
): RowsAndColumns {
  const along = (axis: 0 | 1): number => {
    const padded = input[axis] + zeros[axis][0] + zeros[axis][1];
    const span = (kernel[axis] - 1) * dilation[axis] + 1;
    if (span <= padded) return Math.floor((padded - span) / stride[axis]) + 1;
    throw new TypeError(
      `${op}: a window of ${span} ${axis === 0 ? "rows" : "columns"} is larger than the input's ${padded}, ` +
        "zeros counted; use a smaller kernel or more padding",
    );
  };
  return [along(0), along(1)];
}

/** The shape of `value`, which has the named axes; a `TypeError` otherwise. */
export function requireAxes(op: string, what: string, value: Value, axes: readonly string[]): Shape {
  if (value.shape.length === axes.length) return value.shape;
  throw new TypeError(
    `${op}: takes ${what} of shape [${axes.join(", ")}], found ${formatShape(value.shape)}; reshape it`,
  );
}
