import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { broadcastShapes, formatShape, type Shape, shapesEqual } from "../../../tensor/shape.ts";
import { item } from "../../op.ts";
import type { Value } from "../../value.ts";
import { equal, where } from "../comparison.ts";
import { slice } from "../movement/slice.ts";
import { AXIS_OPTIONS, type AxisOptions, resolveAxis } from "../reduction_axes.ts";
import { requireComputeDType } from "../requirements.ts";
import { broadcastTo, reshape, stopGradient } from "../views.ts";
import { indicesOf } from "./indices.ts";
import { takeAt } from "./take_and_scatter.ts";

/**
 * Elements of `value` along an axis at `indices`, NumPy's `take` and PyTorch's `index_select`: the axes of the
 * indices stand in the place of the axis. For an index outside of the axis the result is NaN, or 0 for integers.
 * Its gradient adds up in a fixed order, at a cost that goes by the number of indices.
 */
export function take(value: Value, indices: Value, options: AxisOptions = {}): Value {
  const { axis: wanted = 0 } = checkOptions("take()", options, AXIS_OPTIONS, "{ axis: 1 }");
  requireComputeDType("take", value);
  const axis = resolveAxis("take", value.shape, wanted);
  const shape = value.shape.toSpliced(axis, 1, ...indices.shape);
  return takeAt(value, indicesOf("take", indices), shape, { axis, isShared: true, isUnique: false });
}

/** Options of {@link embedding}. */
export interface EmbeddingOptions {
  /** The row of what stands for nothing: it gets no gradient. */
  readonly paddingIndex?: number | undefined;
}

/** Every option of {@link EmbeddingOptions}. */
export const EMBEDDING_OPTIONS: OptionNames<EmbeddingOptions> = { paddingIndex: true };

/** The rows of `weights` `[rows, width]` that `indices` name: `[…indices, width]`. */
export function embedding(weights: Value, indices: Value, options: EmbeddingOptions = {}): Value {
  const { paddingIndex } = checkOptions("embedding()", options, EMBEDDING_OPTIONS, "{ paddingIndex: 0 }");
  if (weights.shape.length !== 2) {
    throw new TypeError(
      `embedding: the weights are [rows, width], not ${formatShape(weights.shape)}; reshape them`,
    );
  }
  requireComputeDType("embedding", weights);
  const places = indicesOf("embedding", indices);
  const [, width = 0] = weights.shape;
  const attributes = { axis: 0, isShared: true, isUnique: false, by: "embedding" };
  const rows = takeAt(weights, places, [...indices.shape, width], attributes);
  if (paddingIndex === undefined) return rows;
  if (!Number.isInteger(paddingIndex) || paddingIndex < 0 || paddingIndex >= item(weights.shape, 0)) {
    throw new RangeError(
      `embedding: the padding index is a row of ${formatShape(weights.shape)}, not ${paddingIndex}`,
    );
  }
  const isPadding = equal(places, paddingIndex);
  return where(reshape(isPadding, [...indices.shape, 1]), stopGradient(rows), rows);
}

/**
 * For each index the element of `value` at that place along the axis and at the index's own place along all others,
 * PyTorch's `take_along_dim`: both broadcast along the other axes. Otherwise like {@link take}.
 */
export function takeAlongAxis(value: Value, indices: Value, options: AxisOptions = {}): Value {
  const { axis: wanted = 0 } = checkOptions("takeAlongAxis()", options, AXIS_OPTIONS, "{ axis: 1 }");
  requireComputeDType("takeAlongAxis", value);
  requireRank("takeAlongAxis", value, indices);
  const axis = resolveAxis("takeAlongAxis", value.shape, wanted);
  const others = othersOf(value, indices, axis);
  return takeAt(
    broadcastTo(value, others.with(axis, item(value.shape, axis))),
    broadcastTo(indicesOf("takeAlongAxis", indices), others.with(axis, item(indices.shape, axis))),
    others.with(axis, item(indices.shape, axis)),
    { axis, isShared: false, isUnique: false },
  );
}

function othersOf(value: Value, indices: Value, axis: number): Shape {
  try {
    return broadcastShapes(value.shape.with(axis, 1), indices.shape.with(axis, 1));
  } catch (cause) {
    throw new TypeError(
      `takeAlongAxis: shapes ${formatShape(value.shape)} and ${
        formatShape(indices.shape)
      } do not broadcast ` +
        `elsewhere than on axis ${axis}; reshape one of them`,
      { cause },
    );
  }
}

/**
 * Like {@link takeAlongAxis} without broadcasting, PyTorch's `gather`: the indices may have fewer places along other
 * axes than the value, whose first ones are meant.
 */
export function gather(value: Value, indices: Value, options: AxisOptions = {}): Value {
  const { axis: wanted = 0 } = checkOptions("gather()", options, AXIS_OPTIONS, "{ axis: 1 }");
  requireRank("gather", value, indices);
  const axis = resolveAxis("gather", value.shape, wanted);
  const within = indices.shape.reduce(
    (part, size, of) => of === axis ? part : slice(part, { axis: of, end: size }),
    value,
  );
  if (!shapesEqual(within.shape.with(axis, 0), indices.shape.with(axis, 0))) {
    throw new TypeError(
      `gather: indices of shape ${formatShape(indices.shape)} reach beyond ${
        formatShape(value.shape)
      } elsewhere ` +
        `than on axis ${axis}; take fewer`,
    );
  }
  return takeAlongAxis(within, indices, { axis });
}

function requireRank(op: string, value: Value, indices: Value): void {
  if (value.shape.length === indices.shape.length) return;
  throw new TypeError(
    `${op}: shapes ${formatShape(value.shape)} and ${
      formatShape(indices.shape)
    } differ in their number of axes; ` +
      "give the indices as many with expandDims(), or use take()",
  );
}
