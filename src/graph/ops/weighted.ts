import type { Value } from "../value.ts";
import { mul } from "./arithmetic.ts";
import { equal, where } from "./comparison.ts";

/**
 * `value * weight`, f32, and 0 where the weight is 0, whatever the value: NaN and infinity too, which `mul` makes
 * NaN. So do the gradients: where the weight is 0 none flows into `value`. What `value` is computed from has to be
 * finite there, or be masked by {@link withoutUnweighted} before it is used, for an op between the two may multiply
 * the 0 by a NaN of its own.
 */
export function weighted(value: Value, weight: Value): Value {
  return mul(withoutUnweighted(value, weight), weight);
}

/** `value`, and 0 where the weight is 0. The two broadcast. */
export function withoutUnweighted(value: Value, weight: Value): Value {
  return where(equal(weight, 0), 0, value);
}
