import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { formatShape } from "../../../tensor/shape.ts";
import { item } from "../../op.ts";
import type { Value } from "../../value.ts";
import { AXIS_OPTIONS, type AxisOptions, resolveAxis } from "../reduction_axes.ts";
import { sliceAxis } from "./slice_and_pad.ts";

/** Options of {@link slice}. */
export interface SliceOptions {
  /** The axis, negative ones counted from the end. 0 when left out. */
  readonly axis?: number | undefined;
  /** The first element; a negative one is counted from the end. 0 when left out. */
  readonly start?: number | undefined;
  /** Up to and without this one; a negative one is counted from the end. All when left out. */
  readonly end?: number | undefined;
  /** Every how many elements. 1 when left out. */
  readonly step?: number | undefined;
}

/** Every option of {@link SliceOptions}. */
export const SLICE_OPTIONS: OptionNames<SliceOptions> = { axis: true, start: true, end: true, step: true };

/**
 * Elements `start` to `end` of `value` along an axis, as JavaScript's `slice` and PyTorch's `x[start:end:step]` have
 * it: limits beyond the axis are its ends. Elementwise ops and other slices read them where they are.
 */
export function slice(value: Value, options: SliceOptions = {}): Value {
  const { axis: wanted = 0, start = 0, end, step = 1 } = checkOptions(
    "slice()",
    options,
    SLICE_OPTIONS,
    "{ axis: 1, start: 0, end: 4 }",
  );
  for (const number of [start, end ?? 0, step]) {
    if (Number.isInteger(number) || Math.abs(number) === Infinity) continue;
    throw new RangeError(`slice: start, end and step are whole numbers, not ${number}`);
  }
  if (!(step >= 1 && step < Infinity)) {
    throw new RangeError(
      `slice: the step is a whole number from 1 on, not ${step}; flip() turns an axis round`,
    );
  }
  const axis = resolveAxis("slice", value.shape, wanted);
  const size = item(value.shape, axis);
  const within = (limit: number): number => Math.min(Math.max(limit < 0 ? limit + size : limit, 0), size);
  const [from, to] = [within(start), within(end ?? size)];
  return sliceAxis(value, axis, from, Math.max(Math.ceil((to - from) / step), 0), step);
}

/**
 * Pieces of `value` along an axis: of `sizes` elements each, the last of what is left, or of the `sizes` that a list
 * names, which have to add up to the axis. Like {@link slice}, they are read where they are.
 */
export function split(value: Value, sizes: number | readonly number[], options: AxisOptions = {}): Value[] {
  const { axis: wanted = 0 } = checkOptions("split()", options, AXIS_OPTIONS, "{ axis: 1 }");
  const axis = resolveAxis("split", value.shape, wanted);
  const size = item(value.shape, axis);
  const list = typeof sizes === "number" ? evenSizes(sizes, size) : [...sizes];
  const total = list.reduce((sum, piece) => sum + piece, 0);
  if (total !== size || list.some((piece) => !Number.isInteger(piece) || piece < 0)) {
    throw new TypeError(
      `split: sizes [${list.join(", ")}] do not cut axis ${wanted} of shape ${formatShape(value.shape)}; ` +
        `they are whole numbers that add up to ${size}`,
    );
  }
  let start = 0;
  return list.map((piece) => {
    const part = sliceAxis(value, axis, start, piece);
    start += piece;
    return part;
  });
}

function evenSizes(piece: number, size: number): number[] {
  if (!Number.isInteger(piece) || piece < 1) {
    throw new RangeError(`split: the size of a piece is a whole number from 1 on, not ${piece}`);
  }
  const count = Math.max(Math.ceil(size / piece), 1);
  return Array.from({ length: count }, (_, index) => Math.min(piece, size - index * piece));
}
