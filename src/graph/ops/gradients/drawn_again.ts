import { definitionOf, recomputed } from "../../create_value.ts";
import type { Value } from "../../value.ts";

/**
 * `value` drawn once more, where it is random numbers, or computed from them and from constants, element by element.
 * It has the same bits, and memory for it does not have to be kept until then. Any other value is itself.
 */
export function drawnAgain(value: Value): Value {
  return drawn(value) ?? value;
}

/** `undefined` where more than random numbers and constants is in it. */
function drawn(value: Value): Value | undefined {
  const { lowering, stream } = definitionOf(value);
  if (stream?.(value) !== undefined) return recomputed(value, []);
  if (lowering.kind !== "elementwise") return undefined;
  const inputs = value.inputs.map(drawn);
  if (!inputs.every((input) => input !== undefined)) return undefined;
  return inputs.some((input, index) => input !== value.inputs[index]) ? recomputed(value, inputs) : value;
}
