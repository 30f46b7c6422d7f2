import { formatShape } from "../../tensor/shape.ts";
import { item, type OpDefinition } from "../op.ts";
import { createValue, type Value } from "../value.ts";
import { div, mul, neg } from "./arithmetic.ts";
import { cast } from "./cast.ts";
import { equal } from "./comparison.ts";
import {
  reduceAxes,
  type ReductionAttributes,
  reductionLowering,
  type ReductionOptions,
} from "./reduction_axes.ts";
import { requireComputeDType, requireDType } from "./requirements.ts";
import { broadcastTo, sumTo } from "./sum.ts";

/** Mean over `options.axes`, in a fixed order. `f32`. The mean of nothing is NaN. */
export function mean(value: Value, options: ReductionOptions = {}): Value {
  requireDType("mean", value, ["f32"]);
  return reduceAxes(
    "mean",
    value,
    options,
    (part, attributes, shape) => createValue("mean", [part], attributes, "f32", shape),
  );
}

/** Gradient of mean: every element that went in gets its part of the mean's. */
export const meanOp: OpDefinition<ReductionAttributes> = {
  name: "mean",
  gradient: (value, outGrad) => [
    broadcastTo(div(outGrad, value.attributes.reduced), item(value.inputs, 0).shape),
  ],
  lowering: reductionLowering("mean"),
};

/**
 * Largest element over `options.axes`; NaN where there is one. Equal largest elements share the gradient evenly, the
 * rule of PyTorch's `amax`. Throws `TypeError` when there is no element.
 */
export function max(value: Value, options: ReductionOptions = {}): Value {
  return maxNamed("max", value, options);
}

/** Smallest element over `options.axes`, of `f32` or `i32`; otherwise like {@link max}. */
export function min(value: Value, options: ReductionOptions = {}): Value {
  return neg(maxNamed("min", neg(value), options));
}

/** Gradient of max: the largest elements get equal parts of it. */
export const maxOp: OpDefinition<ReductionAttributes> = {
  name: "max",
  gradient(value, outGrad) {
    const isLargest = cast(equal(item(value.inputs, 0), value), "f32");
    return [mul(isLargest, div(outGrad, sumTo(isLargest, value.shape)))];
  },
  lowering: reductionLowering("max"),
};

function maxNamed(op: string, value: Value, options: ReductionOptions): Value {
  const dtype = requireComputeDType(op, value);
  return reduceAxes(op, value, options, (part, attributes, shape) => {
    if (attributes.reduced === 0) {
      throw new TypeError(
        `${op}: shape ${formatShape(value.shape)} has no element on an axis that is reduced`,
      );
    }
    return createValue("max", [part], attributes, dtype, shape);
  });
}
