import type { DType } from "../base/dtype.ts";
import type { Shape } from "../tensor/shape.ts";
import type { OpDefinition } from "./op.ts";
import type { Attributes, Value } from "./value.ts";

/**
 * What each value is a result of. It is no field, so that `Value`, which users see, does not show how ops are made. No
 * table lists the ops, so that a script bundles only those that it uses.
 */
const definitions = new WeakMap<Value, OpDefinition>();

let lastId = 0;

/** A new result of `op`. For ops; a model calls the functions of `graph/ops/`. */
export function createValue<A extends Attributes>(
  op: OpDefinition<A>,
  inputs: readonly Value[],
  attributes: A,
  dtype: DType,
  shape: Shape,
): Value<A> {
  lastId += 1;
  const value: Value<A> = Object.freeze({
    id: lastId,
    op: op.name,
    inputs: Object.freeze([...inputs]),
    attributes: Object.freeze({ ...attributes }),
    dtype,
    shape: Object.freeze([...shape]),
  });
  definitions.set(value, op);
  return value;
}

/** The op that `value` is a result of. */
export function definitionOf(value: Value): OpDefinition {
  const definition = definitions.get(value);
  if (definition === undefined) {
    throw new TypeError(
      `A value of "${value.op}" was not made by an op; make values with the functions of ops`,
    );
  }
  return definition;
}

/** Whether `value` is a result of `op`. */
export function isResultOf<A extends Attributes>(op: OpDefinition<A>, value: Value): value is Value<A> {
  return definitions.get(value) === op;
}
