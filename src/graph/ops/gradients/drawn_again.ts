import { definitionOf, recomputed } from "../../create_value.ts";
import { reachable, type Value } from "../../value.ts";

/**
 * `value` drawn once more, where it is random numbers, or computed from them and from constants, element by element.
 * It has the same bits, and memory for it does not have to be kept until then. Any other value is itself.
 */
export function drawnAgain(value: Value): Value {
  if (!isOfDraws(value)) return value;
  const again = new Map<Value, Value>();
  for (const each of reachable([value])) {
    const inputs = each.inputs.map((input) => again.get(input) ?? input);
    const isChanged = isDraw(each) || inputs.some((input, index) => input !== each.inputs[index]);
    if (isChanged) again.set(each, recomputed(each, inputs));
  }
  return again.get(value) ?? value;
}

/** Whether nothing but random numbers and constants is in it. Looks no further than to what is something else. */
function isOfDraws(value: Value): boolean {
  const found = new Set<Value>();
  const waiting = [value];
  for (let each = waiting.pop(); each !== undefined; each = waiting.pop()) {
    if (found.has(each)) continue;
    if (!isDraw(each) && definitionOf(each).lowering.kind !== "elementwise") return false;
    found.add(each);
    waiting.push(...each.inputs);
  }
  return true;
}

function isDraw(value: Value): boolean {
  return definitionOf(value).stream?.(value) !== undefined;
}
