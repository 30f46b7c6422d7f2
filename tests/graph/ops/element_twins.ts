import { between, type Enclosure, exactly, ONLY_NAN } from "../../helpers/enclosure.ts";
import { arithmeticTwins } from "./arithmetic_twins.ts";
import { comparisonTwins } from "./comparison_twins.ts";
import type { ElementTwin, ElementTwins } from "./element_twin.ts";
import { elementaryTwins } from "./elementary/elementary_twins.ts";
import { piecewiseTwins } from "./piecewise_twins.ts";
import { powerTwins } from "./power_twins.ts";
import { transcendentalTwins } from "./transcendental_twins.ts";

/** The twins of all elementwise ops of one or two operands. */
export const ELEMENT_TWINS: ElementTwins = {
  ...arithmeticTwins,
  ...comparisonTwins,
  ...elementaryTwins,
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

/** What IEEE 754 and WGSL's accuracy allow of it. Integers that are not known give any integer. */
export function encloseElement(op: string, operands: readonly Enclosure[], dtype: string): Enclosure {
  const { enclose, isLogical = false } = twinOf(op);
  const [x = ONLY_NAN, y = ONLY_NAN] = operands;
  if (isLogical || dtype === "f32") return enclose(x, y);
  if (operands.every(({ lo, hi }) => lo === hi)) {
    return exactly(elementOf(op, operands.map(({ lo }) => lo), dtype));
  }
  return dtype === "i32" ? between(-(2 ** 31), 2 ** 31 - 1) : between(0, 2 ** 32 - 1);
}
