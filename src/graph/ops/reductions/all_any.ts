import { checkOptions } from "../../../base/options/options.ts";
import { elementCount } from "../../../tensor/shape.ts";
import type { Value } from "../../value.ts";
import { notEqual } from "../comparison.ts";
import { full } from "../fill.ts";
import { max, min } from "../reduce.ts";
import { REDUCTION_OPTIONS, type ReductionOptions, resolveAxes } from "../reduction_axes.ts";
import { requireComputeDType } from "../requirements.ts";

/** 1 where no element over `options.axes` is 0, `u32`: 1 of nothing, and NaN is not 0. */
export function all(value: Value, options: ReductionOptions = {}): Value {
  return everywhere("all", value, options);
}

/** 1 where some element over `options.axes` is not 0, `u32`: 0 of nothing, and NaN is not 0. */
export function any(value: Value, options: ReductionOptions = {}): Value {
  return everywhere("any", value, options);
}

function everywhere(op: "all" | "any", value: Value, options: ReductionOptions): Value {
  checkOptions(`${op}()`, options, REDUCTION_OPTIONS, "{ axes: 0 }");
  requireComputeDType(op, value);
  const reduce = op === "all" ? min : max;
  const axes = resolveAxes(op, value.shape, options.axes);
  if (elementCount(value.shape.filter((_, axis) => axes.has(axis))) > 0) {
    return reduce(notEqual(value, 0), options);
  }
  // What a maximum or minimum of nothing would be.
  const kept = value.shape.map((size, axis) => axes.has(axis) ? 1 : size);
  const shape = options.keepDims === true ? kept : kept.filter((_, axis) => !axes.has(axis));
  return full(shape, op === "all" ? 1 : 0, "u32");
}
