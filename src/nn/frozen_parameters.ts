import type { Value } from "../graph/value.ts";
import type { Parameter } from "./scope.ts";

/** Parameters, by their nodes in the graph: each trace of a model has nodes of its own. */
const frozen = new WeakSet<Value>();

/** Marks a parameter: no optimiser changes it. */
export function freezeParameter({ value }: Parameter): void {
  frozen.add(value);
}

/** Whether it was marked. */
export function isFrozenParameter({ value }: Pick<Parameter, "value">): boolean {
  return frozen.has(value);
}
