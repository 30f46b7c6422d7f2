import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { formatShape, shapesEqual } from "../../../tensor/shape.ts";
import { item } from "../../op.ts";
import type { Value } from "../../value.ts";
import { add } from "../arithmetic.ts";
import { resolveAxis } from "../reduction_axes.ts";
import { requireComputeDType, requireSameDType } from "../requirements.ts";
import { indicesOf } from "./indices.ts";
import { replaceAt, sumAt } from "./take_and_scatter.ts";

/** Options of {@link scatter}. */
export interface ScatterOptions {
  /** The axis, negative ones counted from the end. 0 when left out. */
  readonly axis?: number | undefined;
  /** `"sum"`: updates are added to what is there. When left out they replace it. */
  readonly reduce?: "sum" | undefined;
}

/** Every option of {@link ScatterOptions}. */
export const SCATTER_OPTIONS: OptionNames<ScatterOptions> = { axis: true, reduce: true };

/**
 * `value` with `updates` at `indices` along an axis, PyTorch's `scatter` and `scatter_add`. There is an index for each
 * update, or one list for all columns (`index_copy`, `index_add`). An index outside of the axis writes nothing. Sums
 * have a fixed order; of several updates that replace the same element the last one counts, but the gradient takes the
 * indices for unique.
 */
export function scatter(value: Value, indices: Value, updates: Value, options: ScatterOptions = {}): Value {
  const { axis: wanted = 0, reduce } = checkOptions(
    "scatter()",
    options,
    SCATTER_OPTIONS,
    '{ axis: 1, reduce: "sum" }',
  );
  requireComputeDType("scatter", value);
  requireSameDType("scatter", value, updates);
  const axis = resolveAxis("scatter", value.shape, wanted);
  const isShared = indices.shape.length === 1 && updates.shape[axis] === indices.shape[0];
  const fits = updates.shape.length === value.shape.length &&
    shapesEqual(updates.shape.with(axis, 0), value.shape.with(axis, 0)) &&
    (isShared || shapesEqual(indices.shape, updates.shape));
  if (!fits) {
    throw new TypeError(
      `scatter: indices ${formatShape(indices.shape)} and updates ${formatShape(updates.shape)} do not fit ` +
        `${
          formatShape(value.shape)
        } along axis ${axis}; updates have its other sizes, and indices are as many as ` +
        `updates, or [${updates.shape[axis] ?? item(value.shape, axis)}]`,
    );
  }
  const places = indicesOf("scatter", indices);
  const attributes = { axis, isShared, isUnique: false };
  switch (reduce) {
    case undefined:
      return replaceAt(value, places, updates, attributes);
    case "sum":
      return add(value, sumAt(updates, places, value.shape, attributes));
    default:
      throw new TypeError(`scatter: reduce is "sum" or left out, not ${reduce satisfies never}`);
  }
}
