import { definitionOf } from "./create_value.ts";
import { sizeOf, type Value } from "./value.ts";

/**
 * About how many floating-point operations `value` takes, besides those of its inputs: what its op says (a product and
 * a sum are two), or one for each element of an elementwise op, and one for each element that any other kernel reads.
 * Moving elements is none.
 */
export function flopsOf(value: Value): number {
  const definition = definitionOf(value);
  const known = definition.flops?.(value);
  if (known !== undefined) return known;
  const { lowering } = definition;
  switch (lowering.kind) {
    case "source":
    case "view":
    case "companion":
    case "read":
      return 0;
    case "elementwise":
      return lowering.cost === "free" ? 0 : sizeOf(value);
    case "kernel":
      return value.inputs.reduce((sum, input) => sum + sizeOf(input), 0);
    default:
      throw new TypeError(`There is no lowering ${lowering satisfies never}`);
  }
}
