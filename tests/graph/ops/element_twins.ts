import { arithmeticTwins } from "./arithmetic_twins.ts";
import { comparisonTwins } from "./comparison_twins.ts";
import type { ElementTwin, ElementTwins } from "./element_twin.ts";
import { piecewiseTwins } from "./piecewise_twins.ts";
import { powerTwins } from "./power_twins.ts";
import { transcendentalTwins } from "./transcendental_twins.ts";

/** The twins of all elementwise ops of one or two operands. */
export const ELEMENT_TWINS: ElementTwins = {
  ...arithmeticTwins,
  ...comparisonTwins,
  ...piecewiseTwins,
  ...powerTwins,
  ...transcendentalTwins,
};

/** The twin of the op called `op`. */
export function twinOf(op: string): ElementTwin {
  const twin = ELEMENT_TWINS[op];
  if (twin === undefined) throw new Error(`The op "${op}" has no twin`);
  return twin;
}

/** An element of the result of `op`: floats in float64, integers as they wrap at 32 bits. */
export function elementOf(op: string, operands: readonly number[], dtype: string): number {
  const { float, whole = float, isLogical = false } = twinOf(op);
  const [x = NaN, y = NaN] = operands;
  if (isLogical || dtype === "f32") return float(x, y);
  return dtype === "i32" ? whole(x, y) | 0 : whole(x, y) >>> 0;
}
