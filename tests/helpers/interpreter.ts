import { reachable, sizeOf, type Value } from "../../src/graph/value.ts";
import type { Environment } from "../graph/ops/op_twin.ts";
import { OP_TWINS } from "../graph/ops/op_twins.ts";

/**
 * The reference twin of the graph: computes values one op at a time in float64 on the host, with no fusion and no plan.
 * Slow and plain, so that it is easy to check.
 */
export function interpret(roots: readonly Value[], environment: Environment): Float64Array[] {
  const computed = new Map<Value, Float64Array>();
  const elementsOf = (value: Value): Float64Array => {
    const elements = computed.get(value);
    if (elements === undefined) throw new Error(`The elements of ${value.op} are not there yet`);
    return elements;
  };
  for (const value of reachable(roots)) {
    const evaluate = OP_TWINS[value.op]?.evaluate;
    if (evaluate === undefined) throw new Error(`The interpreter does not know the op "${value.op}"`);
    const elements = Float64Array.from(evaluate(value, value.inputs.map(elementsOf), environment));
    if (elements.length !== sizeOf(value)) {
      throw new Error(`${value.op} gave ${elements.length} elements for shape [${value.shape.join(", ")}]`);
    }
    computed.set(value, elements);
  }
  return roots.map(elementsOf);
}
