import { formatShape, type Shape, shapesEqual, validateShape } from "../../tensor/shape.ts";
import { item, type OpDefinition } from "../op.ts";
import { createValue, type Value } from "../value.ts";
import {
  reduceAxes,
  type ReductionAttributes,
  reductionLowering,
  type ReductionOptions,
} from "./reduction_axes.ts";
import { broadcastOf, requireComputeDType } from "./requirements.ts";
import { reshape } from "./views.ts";

// Summing and broadcasting stand together because each is the gradient of the other.

/**
 * Sum over `options.axes`, in a fixed order. The sum of nothing is 0; integers wrap around.
 *
 * Of f32 it is off by at most 4.8e-7 of the sum of the magnitudes, whatever the length and however many axes are reduced. A
 * NaN, or infinities of both signs, give NaN; a sum beyond the largest f32 is infinite.
 */
export function sum(value: Value, options: ReductionOptions = {}): Value {
  const dtype = requireComputeDType("sum", value);
  return reduceAxes(
    "sum",
    value,
    options,
    (attributes, shape) => createValue("sum", [value], attributes, dtype, shape),
  );
}

/** Gradient of sum: every element that went in gets the sum's. */
export const sumOp: OpDefinition<ReductionAttributes> = {
  name: "sum",
  gradient: (value, outGrad) => [broadcastTo(outGrad, item(value.inputs, 0).shape)],
  lowering: reductionLowering("sum"),
};

/** `value` repeated to `shape` by NumPy's rule. Costs nothing where the result is used by an elementwise op. */
export function broadcastTo(value: Value, shape: Shape): Value {
  validateShape(shape, "broadcastTo");
  if (shapesEqual(value.shape, shape)) return value;
  requireComputeDType("broadcastTo", value);
  const result = createValue("broadcastTo", [value], {}, value.dtype, shape);
  if (shapesEqual(broadcastOf("broadcastTo", value, result), shape)) return result;
  throw new TypeError(
    `broadcastTo: ${formatShape(value.shape)} does not broadcast to ` +
      `${formatShape(shape)}; only axes of size 1 repeat`,
  );
}

/** Gradient of broadcasting: the sum over what was repeated. */
export const broadcastToOp: OpDefinition = {
  name: "broadcastTo",
  gradient: (value, outGrad) => [sumTo(outGrad, item(value.inputs, 0).shape)],
  lowering: { kind: "elementwise", cost: "free", expression: (_value, inputs) => item(inputs, 0) },
};

/** Sums `value` down to `shape`, which broadcasts to the shape of `value`: the gradient of broadcasting. */
export function sumTo(value: Value, shape: Shape): Value {
  if (shapesEqual(value.shape, shape)) return value;
  const added = value.shape.length - shape.length;
  const repeated = [...value.shape.keys()].filter((axis) => axis < added || shape[axis - added] === 1);
  return reshape(sum(value, { axes: repeated, keepDims: true }), shape);
}
