import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { formatShape } from "../../../tensor/shape.ts";
import { item } from "../../op.ts";
import type { Value } from "../../value.ts";
import { resolveAxes, resolveAxis } from "../reduction_axes.ts";
import { broadcastTo, reshape } from "../views.ts";

/** `value` with a new axis of size 1 at `axis` of the result, -1 being after the last. A view. */
export function expandDims(value: Value, axis: number): Value {
  const at = resolveAxis("expandDims", [...value.shape, 1], axis);
  return reshape(value, value.shape.toSpliced(at, 0, 1));
}

/** Options of {@link squeeze}. */
export interface SqueezeOptions {
  /** The axes to drop, which have size 1. All that have it when left out. */
  readonly axes?: number | readonly number[] | undefined;
}

/** Every option of {@link SqueezeOptions}. */
export const SQUEEZE_OPTIONS: OptionNames<SqueezeOptions> = { axes: true };

/** `value` without axes of size 1. A view. Throws `TypeError` for an axis of another size. */
export function squeeze(value: Value, options: SqueezeOptions = {}): Value {
  checkOptions("squeeze()", options, SQUEEZE_OPTIONS, "{ axes: 0 }");
  const { shape } = value;
  const units = [...shape.keys()].filter((axis) => shape[axis] === 1);
  const dropped = options.axes === undefined ? new Set(units) : resolveAxes("squeeze", shape, options.axes);
  for (const axis of dropped) {
    if (shape[axis] === 1) continue;
    throw new TypeError(
      `squeeze: axis ${axis} of shape ${formatShape(shape)} has size ${shape[axis]}, not 1`,
    );
  }
  return reshape(value, shape.filter((_, axis) => !dropped.has(axis)));
}

/**
 * `value` repeated along its axes, as often as `repeats` says for each; missing numbers in front are 1, and so are
 * missing axes. One copy.
 */
export function tile(value: Value, repeats: readonly number[]): Value {
  for (const count of repeats) {
    if (Number.isInteger(count) && count >= 0) continue;
    throw new RangeError(`tile: repeats are whole numbers from 0 on, not ${count}`);
  }
  const rank = Math.max(repeats.length, value.shape.length);
  const shape = [...Array<number>(rank - value.shape.length).fill(1), ...value.shape];
  const counts = [...Array<number>(rank - repeats.length).fill(1), ...repeats];
  const apart = reshape(value, shape.flatMap((size) => [1, size]));
  const repeated = broadcastTo(apart, shape.flatMap((size, axis) => [item(counts, axis), size]));
  return reshape(repeated, shape.map((size, axis) => size * item(counts, axis)));
}
