import { createValue } from "../../create_value.ts";
import { item, type OpDefinition } from "../../op.ts";
import type { Value } from "../../value.ts";
import { div, mul } from "../arithmetic.ts";
import { cast } from "../cast.ts";
import { equal, where } from "../comparison.ts";
import {
  reduceAxes,
  type ReductionAttributes,
  reductionLowering,
  type ReductionOptions,
} from "../reduction_axes.ts";
import { requireComputeDType } from "../requirements.ts";
import { sumTo } from "../sum.ts";

/**
 * Product over `options.axes`, in a fixed order. The product of nothing is 1; integers wrap around. Of f32 it is off
 * by a rounding (2^-24 of it) for each factor; what leaves the range of f32 on the way is infinite or 0.
 */
export function prod(value: Value, options: ReductionOptions = {}): Value {
  const dtype = requireComputeDType("prod", value);
  return reduceAxes(
    "prod",
    value,
    options,
    (attributes, shape) => createValue(prodOp, [value], attributes, dtype, shape),
  );
}

/**
 * Gradient of prod: the product of the others. That is the product by the element where none is 0; where one is, only
 * that one has a gradient, the product of all others; where several are, none has.
 */
export const prodOp: OpDefinition<ReductionAttributes> = {
  name: "prod",
  gradient(value, outGrad) {
    if (value.dtype !== "f32") return [];
    const elements = item(value.inputs, 0);
    const isZero = equal(elements, 0);
    const zeros = sumTo(cast(isZero, "f32"), value.shape);
    const safe = where(isZero, 1, elements);
    const ofOthers = createValue(prodOp, [safe], value.attributes, "f32", value.shape);
    // Where no other element is 0.
    const isAlone = equal(zeros, cast(isZero, "f32"));
    return [where(isAlone, mul(outGrad, div(ofOthers, safe)), 0)];
  },
  lowering: reductionLowering("prod"),
};
