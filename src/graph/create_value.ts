import type { DType } from "../base/dtype.ts";
import type { Shape } from "../tensor/shape.ts";
import type { OpDefinition } from "./op.ts";
import type { Attributes, Value } from "./value.ts";

/**
 * What each value is a result of, and in which layer. It is no field, so that `Value`, which users see, does not show
 * how ops are made. No table lists the ops, so that a script bundles only those that it uses.
 */
const origins = new WeakMap<
  Value,
  { readonly definition: OpDefinition; readonly layer: string | undefined }
>();

let lastId = 0;

/** Path of the layer that is making values. */
let layer: string | undefined;

/**
 * What `make` gives; the values that it makes are of the layer at `path`.
 *
 * @param path Empty or `undefined` for no layer.
 */
export function madeIn<Result>(path: string | undefined, make: () => Result): Result {
  const outer = layer;
  layer = path === "" ? undefined : path;
  try {
    return make();
  } finally {
    layer = outer;
  }
}

/**
 * Path of the layer that made `value`; what is made for the gradient of a value is of its layer. `undefined` outside of
 * all layers.
 */
export function layerOf(value: Value): string | undefined {
  return origins.get(value)?.layer;
}

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
  origins.set(value, { definition: op, layer });
  return value;
}

/** Which value another one is computed again for. */
const firsts = new WeakMap<Value, Value>();

/** `value` computed again, from `inputs` that have the same elements; random numbers are the same, too. */
export function recomputed(value: Value, inputs: readonly Value[]): Value {
  return madeIn(layerOf(value), () => {
    const again = createValue(definitionOf(value), inputs, value.attributes, value.dtype, value.shape);
    firsts.set(again, firstOf(value));
    return again;
  });
}

/** The value that `value` is computed again for, or itself. */
export function firstOf(value: Value): Value {
  return firsts.get(value) ?? value;
}

/** The id of the value that was made last: values that are made from now on have larger ones. */
export function newestId(): number {
  return lastId;
}

/** The op that `value` is a result of. */
export function definitionOf(value: Value): OpDefinition {
  const definition = origins.get(value)?.definition;
  if (definition === undefined) {
    throw new TypeError(
      `A value of "${value.op}" was not made by an op; make values with the functions of ops`,
    );
  }
  return definition;
}

/** Whether `value` is a result of `op`. */
export function isResultOf<A extends Attributes>(op: OpDefinition<A>, value: Value): value is Value<A> {
  return origins.get(value)?.definition === op;
}
