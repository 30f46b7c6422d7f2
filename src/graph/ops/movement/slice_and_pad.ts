import { createValue } from "../../create_value.ts";
import { item, type OpDefinition } from "../../op.ts";
import type { Value } from "../../value.ts";
import { requireComputeDType } from "../requirements.ts";
import { broadcastTo, reshape } from "../views.ts";
import { constantOf } from "./constant_of.ts";

// Taking elements of an axis away and putting others around are each other's gradients.

/** Attributes of `slice`. */
export type SliceAttributes = { readonly axis: number; readonly start: number; readonly step: number };

/** `count` elements along `axis`, from `start` on, every `step`. All of them are there. */
export function sliceAxis(value: Value, axis: number, start: number, count: number, step: number = 1): Value {
  if (count === value.shape[axis]) return value;
  const dtype = requireComputeDType("slice", value);
  const shape = value.shape.with(axis, count);
  const constant = constantOf(value);
  if (constant !== undefined) return broadcastTo(constant, shape);
  return createValue(sliceOp, [value], { axis, start, step }, dtype, shape);
}

/** Gradient of slice: nothing where it did not take an element. */
export const sliceOp: OpDefinition<SliceAttributes> = {
  name: "slice",
  gradient(value, outGrad) {
    const { axis, start, step } = value.attributes;
    const size = item(item(value.inputs, 0).shape, axis);
    const spread = spaced(outGrad, axis, step);
    const count = item(spread.shape, axis);
    const kept = start + count > size ? sliceAxis(spread, axis, 0, size - start) : spread;
    return [padAxis(kept, axis, start, size - start - item(kept.shape, axis))];
  },
  lowering: {
    kind: "read",
    read({ attributes: { axis, start, step }, shape }) {
      return {
        starts: shape.map((_, of) => of === axis ? start : 0),
        axes: shape.map((_, of) => ({ of, step: of === axis ? step : 1 })),
      };
    },
  },
};

/** `value` with `step - 1` zeros behind each element of an axis. */
function spaced(value: Value, axis: number, step: number): Value {
  if (step === 1) return value;
  const size = item(value.shape, axis);
  const apart = reshape(value, value.shape.toSpliced(axis, 1, size, 1));
  return reshape(padAxis(apart, axis + 1, 0, step - 1), value.shape.with(axis, size * step));
}

/** Attributes of `pad`. */
export type PadAttributes = {
  readonly axis: number;
  readonly before: number;
  readonly fill: number;
};

/** `value` with `before` and `after` times `fill` around an axis. */
export function padAxis(value: Value, axis: number, before: number, after: number, fill: number = 0): Value {
  if (before === 0 && after === 0) return value;
  const shape = value.shape.with(axis, before + item(value.shape, axis) + after);
  const constant = constantOf(value);
  if (constant !== undefined && Object.is(constant.attributes.value, fill)) {
    return broadcastTo(constant, shape);
  }
  return createValue(padOp, [value], { axis, before, fill }, value.dtype, shape);
}

/** Gradient of pad: that of the elements in the middle. */
export const padOp: OpDefinition<PadAttributes> = {
  name: "pad",
  gradient(value, outGrad) {
    const { axis, before } = value.attributes;
    return [sliceAxis(outGrad, axis, before, item(item(value.inputs, 0).shape, axis))];
  },
  lowering: {
    kind: "read",
    read(value) {
      const { axis, before, fill } = value.attributes;
      const { shape } = item(value.inputs, 0);
      return {
        starts: shape.map((_, of) => of === axis ? -before : 0),
        axes: shape.map((_, of) => ({ of, step: 1 })),
        bounds: [{ axis, from: before, to: before + item(shape, axis) }],
        fill,
      };
    },
  },
};
