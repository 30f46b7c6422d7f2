import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { createValue } from "../../create_value.ts";
import { item, type OpDefinition } from "../../op.ts";
import type { Value } from "../../value.ts";
import { resolveAxes } from "../reduction_axes.ts";
import { requireComputeDType } from "../requirements.ts";
import { constantOf } from "./constant_of.ts";

/** Options of {@link flip}. */
export interface FlipOptions {
  /** Axes to turn round, negative ones counted from the end. All of them when left out. */
  readonly axes?: number | readonly number[] | undefined;
}

/** Every option of {@link FlipOptions}. */
export const FLIP_OPTIONS: OptionNames<FlipOptions> = { axes: true };

/** Attributes of `flip`. */
export type FlipAttributes = { readonly axis: number };

/** `value` with the elements of axes in the opposite order. Elementwise ops read it where it is. */
export function flip(value: Value, options: FlipOptions = {}): Value {
  checkOptions("flip()", options, FLIP_OPTIONS, "{ axes: 0 }");
  return [...resolveAxes("flip", value.shape, options.axes)].reduce(flipAxis, value);
}

/** `value` with the elements of one axis in the opposite order. */
export function flipAxis(value: Value, axis: number): Value {
  const dtype = requireComputeDType("flip", value);
  if (item(value.shape, axis) <= 1 || constantOf(value) !== undefined) return value;
  return createValue(flipOp, [value], { axis }, dtype, value.shape);
}

/** Gradient of flip: flipped. */
export const flipOp: OpDefinition<FlipAttributes> = {
  name: "flip",
  gradient: (value, outGrad) => [flipAxis(outGrad, value.attributes.axis)],
  lowering: {
    kind: "read",
    read: ({ attributes: { axis }, shape }) => ({
      starts: shape.map((size, of) => of === axis ? size - 1 : 0),
      axes: shape.map((_, of) => ({ of, step: of === axis ? -1 : 1 })),
    }),
  },
};
