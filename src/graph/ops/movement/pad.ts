import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { formatShape } from "../../../tensor/shape.ts";
import { item } from "../../op.ts";
import type { Value } from "../../value.ts";
import { requireComputeDType } from "../requirements.ts";
import { constant } from "../sources.ts";
import { broadcastTo } from "../views.ts";
import { concat } from "./concat.ts";
import { flipAxis } from "./flip.ts";
import { padAxis, sliceAxis } from "./slice_and_pad.ts";

/** Options of {@link pad}. */
export interface PadOptions {
  /**
   * What is around: `"constant"` (the default) one number; `"reflect"` the elements behind the edge, in turn, without
   * the edge itself; `"replicate"` the edge.
   */
  readonly mode?: "constant" | "reflect" | "replicate" | undefined;
  /** The number of the mode `"constant"`; 0 when left out. */
  readonly value?: number | undefined;
}

/** Every option of {@link PadOptions}. */
export const PAD_OPTIONS: OptionNames<PadOptions> = { mode: true, value: true };

/** How many elements to add before and after an axis. */
export type Padding = readonly [before: number, after: number];

/**
 * `value` with more elements around: `padding` has a pair for each axis, or for as many of the last axes as it names.
 * Constant padding is read where it is by elementwise ops. Names and meanings are PyTorch's, but for the order of the
 * pairs, which is that of the axes. Throws `RangeError` for an invalid size, or for more elements to reflect than the
 * axis has.
 */
export function pad(value: Value, padding: readonly Padding[], options: PadOptions = {}): Value {
  const { mode = "constant", value: fill = 0 } = checkOptions(
    "pad()",
    options,
    PAD_OPTIONS,
    '{ mode: "reflect" }',
  );
  constant(fill, requireComputeDType("pad", value));
  if (padding.length > value.shape.length) {
    throw new TypeError(
      `pad: ${padding.length} pairs for shape ${formatShape(value.shape)}; give one for each axis at most`,
    );
  }
  const first = value.shape.length - padding.length;
  return padding.reduce((padded, [before, after], index) => {
    for (const count of [before, after]) {
      if (Number.isInteger(count) && count >= 0) continue;
      throw new RangeError(
        `pad: sizes are whole numbers from 0 on, not ${count}; slice() takes elements away`,
      );
    }
    return paddedBy(mode, padded, first + index, before, after, fill);
  }, value);
}

function paddedBy(
  mode: "constant" | "reflect" | "replicate",
  value: Value,
  axis: number,
  before: number,
  after: number,
  fill: number,
): Value {
  if (before === 0 && after === 0) return value;
  const size = item(value.shape, axis);
  const most = Math.max(before, after);
  switch (mode) {
    case "constant":
      return padAxis(value, axis, before, after, fill);
    case "reflect": {
      if (most >= size) throw tooFew(`to reflect ${most} of them behind the edge`, value, axis);
      const front = flipAxis(sliceAxis(value, axis, 1, before), axis);
      const back = flipAxis(sliceAxis(value, axis, size - 1 - after, after), axis);
      return concat([front, value, back], { axis });
    }
    case "replicate": {
      if (size === 0) throw tooFew("at the edge", value, axis);
      const front = broadcastTo(sliceAxis(value, axis, 0, 1), value.shape.with(axis, before));
      const back = broadcastTo(sliceAxis(value, axis, size - 1, 1), value.shape.with(axis, after));
      return concat([front, value, back], { axis });
    }
    default:
      throw new TypeError(
        `pad: the mode is "constant", "reflect" or "replicate", not ${mode satisfies never}`,
      );
  }
}

function tooFew(what: string, value: Value, axis: number): RangeError {
  return new RangeError(
    `pad: axis ${axis} of shape ${formatShape(value.shape)} has too few elements ${what}`,
  );
}
