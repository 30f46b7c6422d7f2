import { reachable, sizeOf, type Value } from "../../src/graph/value.ts";
import type { EnclosingEnvironment, Enclosures } from "../graph/ops/op_twin.ts";
import { OP_TWINS } from "../graph/ops/op_twins.ts";

/**
 * Computes values one op at a time in float64, and for each element what WGSL's accuracy permits. It shares no code
 * with the kernels: no fusion, no plan, no shader.
 */
export function enclose(roots: readonly Value[], environment: EnclosingEnvironment): Map<Value, Enclosures> {
  const computed = new Map<Value, Enclosures>();
  for (const value of reachable(roots)) {
    const encloseResult = OP_TWINS[value.op]?.enclose;
    if (encloseResult === undefined) {
      throw new Error(`The enclosing interpreter does not know the op "${value.op}"`);
    }
    const inputs = value.inputs.map((input) => computed.get(input) ?? []);
    const elements = encloseResult(value, inputs, environment);
    if (elements.length !== sizeOf(value)) {
      throw new Error(`${value.op} gave ${elements.length} elements for shape [${value.shape.join(", ")}]`);
    }
    computed.set(value, elements);
  }
  return computed;
}
