import { isResultOf } from "../../create_value.ts";
import { item } from "../../op.ts";
import type { Value } from "../../value.ts";
import { numberOp } from "../sources.ts";
import { broadcastToOp } from "../views.ts";

/** The number that every element of `value` is, such as those of `zeros`; `undefined` where they may differ. */
export function constantOf(value: Value): Value | undefined {
  const source = isResultOf(broadcastToOp, value) ? item(value.inputs, 0) : value;
  return isResultOf(numberOp, source) ? source : undefined;
}
