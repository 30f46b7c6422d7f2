import { flowingGradients } from "../../autodiff.ts";
import { createValue } from "../../create_value.ts";
import type { Value } from "../../value.ts";
import { mul } from "../arithmetic.ts";
import { sum } from "../sum.ts";
import { broadcastToOp } from "../views.ts";

/**
 * The gradients of an op with a kernel of its own, by `compose`, which computes the same of its inputs by other ops:
 * for gradients of gradients, which need not be fast. Each is that of one input with the others as they are, also where
 * one was computed from another.
 */
export function composedGradients(
  inputs: readonly Value[],
  outGrad: Value,
  compose: (inputs: readonly Value[]) => Value,
): (Value | undefined)[] {
  // Values of their own, so that no gradient goes on from one input to the others.
  const apart = inputs.map((value) => createValue(broadcastToOp, [value], {}, value.dtype, value.shape));
  return flowingGradients(sum(mul(compose(apart), outGrad)), apart);
}
