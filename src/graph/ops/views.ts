import { elementCount, formatShape, type Shape, shapesEqual, validateShape } from "../../tensor/shape.ts";
import { createValue, isResultOf } from "../create_value.ts";
import { item, type OpDefinition } from "../op.ts";
import { sizeOf, type Value } from "../value.ts";
import { broadcastOf, requireComputeDType } from "./requirements.ts";
import { numberOp } from "./sources.ts";

/**
 * `value` with the same elements in the same order under another shape. One dimension may be -1: what is left. Throws
 * `TypeError` for a shape of another size or of several -1, `RangeError` for an invalid dimension.
 */
export function reshape(value: Value, shape: Shape): Value {
  const resolved = resolveShape(value, shape);
  if (shapesEqual(resolved, value.shape)) return value;
  // A chain of reshapes is one: nothing ever needs the shapes in between.
  const source = isResultOf(reshapeOp, value) ? item(value.inputs, 0) : value;
  if (shapesEqual(resolved, source.shape)) return source;
  const repeated = isResultOf(broadcastToOp, source) ? item(source.inputs, 0) : source;
  // One number everywhere stays one number everywhere, which costs kernels nothing; a view would put it in memory.
  if (isResultOf(numberOp, repeated)) {
    return createValue(broadcastToOp, [repeated], {}, value.dtype, resolved);
  }
  return createValue(reshapeOp, [source], {}, value.dtype, resolved);
}

/** Gradient of reshape: the other way round. */
export const reshapeOp: OpDefinition = {
  name: "reshape",
  lowering: { kind: "view" },
  gradient: (value, outGrad) => [reshape(outGrad, item(value.inputs, 0).shape)],
};

/** `value` repeated to `shape` by NumPy's rule. Costs nothing where the result is used by an elementwise op. */
export function broadcastTo(value: Value, shape: Shape): Value {
  validateShape(shape, "broadcastTo");
  if (shapesEqual(value.shape, shape)) return value;
  requireComputeDType("broadcastTo", value);
  const result = createValue(broadcastToOp, [value], {}, value.dtype, shape);
  if (shapesEqual(broadcastOf("broadcastTo", value, result), shape)) return result;
  throw new TypeError(
    `broadcastTo: ${formatShape(value.shape)} does not broadcast to ` +
      `${formatShape(shape)}; only axes of size 1 repeat`,
  );
}

/** The gradient is that of the result; autodiff sums over what was repeated. */
export const broadcastToOp: OpDefinition = {
  name: "broadcastTo",
  gradient: (_value, outGrad) => [outGrad],
  lowering: { kind: "elementwise", cost: "free", expression: (_value, inputs) => item(inputs, 0) },
};

/** `value` as a constant to autodiff: no gradient flows back through the result. */
export function stopGradient(value: Value): Value {
  return createValue(stopGradientOp, [value], {}, value.dtype, value.shape);
}

/** A view without a gradient rule. */
export const stopGradientOp: OpDefinition = { name: "stopGradient", lowering: { kind: "view" } };

/** Attributes of `transpose`. */
export type TransposeAttributes = { readonly permutation: readonly number[] };

/**
 * `value` with its axes in the order of `permutation` (reversed when left out): axis `i` of the result is axis
 * `permutation[i]` of `value`, negative ones counted from the end. `matmul` and elementwise ops read it in place;
 * elsewhere it costs one copy.
 */
export function transpose(value: Value, permutation?: readonly number[]): Value {
  const rank = value.shape.length;
  const given = permutation ?? value.shape.map((_, axis) => rank - 1 - axis);
  if (!Array.isArray(given)) {
    throw new TypeError(`transpose: ${String(given)} is no list of axes, such as [1, 0]`);
  }
  const order = given.map((axis) => axis < 0 ? axis + rank : axis);
  if (order.length !== rank || [...order].sort((a, b) => a - b).some((axis, index) => axis !== index)) {
    throw new TypeError(
      `transpose: [${given.join(", ")}] is no order of the ${rank} axes of shape ` +
        `${formatShape(value.shape)}; ` +
        `list each axis from 0 to ${rank - 1} once`,
    );
  }
  if (order.every((axis, index) => axis === index)) return value;
  if (isResultOf(transposeOp, value)) {
    const inner = value.attributes.permutation;
    return transpose(item(value.inputs, 0), order.map((axis) => item(inner, axis)));
  }
  requireComputeDType("transpose", value);
  return createValue(
    transposeOp,
    [value],
    { permutation: order },
    value.dtype,
    order.map((axis) => item(value.shape, axis)),
  );
}

/** Whether `value` is the transpose of a matrix, which `matmul` can read in place. */
export function isTransposedMatrix(value: Value): boolean {
  return isResultOf(transposeOp, value) && value.shape.length === 2;
}

/** Gradient of transpose: the inverse permutation. */
export const transposeOp: OpDefinition<TransposeAttributes> = {
  name: "transpose",
  gradient(value, outGrad) {
    const inverse: number[] = [];
    value.attributes.permutation.forEach((axis, index) => inverse[axis] = index);
    return [transpose(outGrad, inverse)];
  },
  lowering: {
    kind: "read",
    read: ({ attributes, shape }) => ({
      starts: shape.map(() => 0),
      axes: attributes.permutation.map((of) => ({ of, step: 1 })),
    }),
  },
};

function resolveShape(value: Value, shape: Shape): Shape {
  const given = Array.isArray(shape) ? shape.map((size) => size === -1 ? 1 : size) : shape;
  validateShape(given, "reshape");
  const open = shape.filter((size) => size === -1).length;
  if (open > 1) {
    throw new TypeError(
      `reshape: ${
        formatShape(shape)
      } leaves ${open} dimensions open; -1 may stand for one, say what the others are`,
    );
  }
  const count = elementCount(given);
  if (open === 0) {
    if (count === sizeOf(value)) return shape;
    throw reshapeError(value, shape);
  }
  if (count === 0 && sizeOf(value) === 0) {
    throw new TypeError(
      `reshape: -1 could be anything in ${formatShape(shape)}, which has no elements; say what it is`,
    );
  }
  const left = sizeOf(value) / count;
  if (!Number.isInteger(left)) throw reshapeError(value, shape);
  return shape.map((size) => size === -1 ? left : size);
}

function reshapeError(value: Value, shape: Shape): TypeError {
  return new TypeError(
    `reshape: ${formatShape(value.shape)} has ${sizeOf(value)} elements and does not fit ` +
      `${formatShape(shape)}; ` +
      "give a shape with as many elements",
  );
}
