import { formatShape } from "../../tensor/shape.ts";
import { createValue, isResultOf } from "../create_value.ts";
import { item, type OpDefinition } from "../op.ts";
import type { Value } from "../value.ts";
import { div } from "./arithmetic.ts";
import { cast } from "./cast.ts";
import { equal, isNaNValue, logicalAnd, logicalOr, where } from "./comparison.ts";
import { constantOf } from "./movement/constant_of.ts";
import {
  reduceAxes,
  type ReductionAttributes,
  reductionLowering,
  type ReductionOptions,
} from "./reduction_axes.ts";
import { requireComputeDType, requireDType } from "./requirements.ts";
import { constant, numberOp } from "./sources.ts";
import { sumTo } from "./sum.ts";
import { broadcastTo } from "./views.ts";

/**
 * Mean over `options.axes`, in a fixed order. `f32`. The mean of nothing is NaN. It is as exact as a `sum`, and one
 * division: at most 7.8e-7 of the mean of the magnitudes, whatever the length.
 */
export function mean(value: Value, options: ReductionOptions = {}): Value {
  requireDType("mean", value, ["f32"]);
  return reduceAxes(
    "mean",
    value,
    options,
    (attributes, shape) => createValue(meanOp, [value], attributes, "f32", shape),
  );
}

/** Gradient of mean: every element that went in gets its part of the mean's. */
export const meanOp: OpDefinition<ReductionAttributes> = {
  name: "mean",
  gradient: (value, outGrad) => [
    broadcastTo(partOf(outGrad, value.attributes.terms), item(value.inputs, 0).shape),
  ],
  lowering: reductionLowering("mean"),
};

/** `gradient / terms`; of a number, the number that it is, so that no kernel computes it anew in each step. */
function partOf(gradient: Value, terms: number): Value {
  const number = constantOf(gradient);
  if (number === undefined || !isResultOf(numberOp, number) || terms === 0) return div(gradient, terms);
  const part = constant(Math.fround(Math.fround(number.attributes.value) / Math.fround(terms)));
  return broadcastTo(part, gradient.shape);
}

/**
 * Largest element over `options.axes`; NaN where there is one. Equal largest elements share the gradient evenly,
 * those of all reduced axes together, the rule of PyTorch's `amax`; where the result is NaN, the NaNs share it.
 * Throws `TypeError` when there is no element.
 */
export function max(value: Value, options: ReductionOptions = {}): Value {
  return extreme(maxOp, value, options);
}

/** Smallest element over `options.axes`; otherwise like {@link max}. */
export function min(value: Value, options: ReductionOptions = {}): Value {
  return extreme(minOp, value, options);
}

/** The largest elements get equal parts of the gradient of max. */
export const maxOp: OpDefinition<ReductionAttributes> = {
  name: "max",
  gradient: sharedByTies,
  lowering: reductionLowering("max"),
};

/** The smallest elements get equal parts of the gradient of min. */
export const minOp: OpDefinition<ReductionAttributes> = {
  name: "min",
  gradient: sharedByTies,
  lowering: reductionLowering("min"),
};

function extreme(
  op: OpDefinition<ReductionAttributes>,
  value: Value,
  options: ReductionOptions,
): Value {
  const dtype = requireComputeDType(op.name, value);
  return reduceAxes(op.name, value, options, (attributes, shape) => {
    if (attributes.terms === 0) {
      throw new TypeError(
        `${op.name}: shape ${formatShape(value.shape)} has no element on an axis that is reduced`,
      );
    }
    return createValue(op, [value], attributes, dtype, shape);
  });
}

function sharedByTies(value: Value, outGrad: Value): Value[] {
  const elements = item(value.inputs, 0);
  const isChosen = logicalOr(
    equal(elements, value),
    logicalAnd(isNaNValue(elements), isNaNValue(value)),
  );
  const ties = sumTo(cast(isChosen, "f32"), value.shape);
  return [where(isChosen, div(outGrad, ties), 0)];
}
