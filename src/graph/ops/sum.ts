import { type Shape, shapesEqual } from "../../tensor/shape.ts";
import { createValue } from "../create_value.ts";
import { item, type OpDefinition } from "../op.ts";
import type { Value } from "../value.ts";
import {
  reduceAxes,
  type ReductionAttributes,
  reductionLowering,
  type ReductionOptions,
} from "./reduction_axes.ts";
import { requireComputeDType } from "./requirements.ts";
import { broadcastTo, reshape } from "./views.ts";

/**
 * Sum over `options.axes`, in a fixed order. The sum of nothing is 0; integers wrap around.
 *
 * Of f32 it is off by at most 4.8e-7 of the sum of the magnitudes, whatever the length and however many axes are
 * reduced. A NaN, or infinities of both signs, give NaN; a sum beyond the largest f32 is infinite.
 */
export function sum(value: Value, options: ReductionOptions = {}): Value {
  const dtype = requireComputeDType("sum", value);
  return reduceAxes(
    "sum",
    value,
    options,
    (attributes, shape) => createValue(sumOp, [value], attributes, dtype, shape),
  );
}

/** Gradient of sum: every element that went in gets the sum's. */
export const sumOp: OpDefinition<ReductionAttributes> = {
  name: "sum",
  gradient: (value, outGrad) => [broadcastTo(outGrad, item(value.inputs, 0).shape)],
  lowering: reductionLowering("sum"),
};

/** Sums `value` down to `shape`, which broadcasts to the shape of `value`: the gradient of broadcasting. */
export function sumTo(value: Value, shape: Shape): Value {
  if (shapesEqual(value.shape, shape)) return value;
  const added = value.shape.length - shape.length;
  const repeated = [...value.shape.keys()].filter((axis) => axis < added || shape[axis - added] === 1);
  return reshape(sum(value, { axes: repeated, keepDims: true }), shape);
}
