import { definitionOf, isResultOf } from "../create_value.ts";
import { numberOp } from "../ops/sources.ts";
import type { Value } from "../value.ts";

/** Whether the elements of `value` are the same at all places of an axis, as they are along one that it lacks. */
export function isConstantAlong(value: Value, axis: number): boolean {
  if (axis < 0 || (value.shape[axis] ?? 1) === 1 || isResultOf(numberOp, value)) return true;
  if (definitionOf(value).lowering.kind !== "elementwise") return false;
  return value.inputs.every((input) =>
    isConstantAlong(input, axis - value.shape.length + input.shape.length)
  );
}
