import { type Named, type Parts, partsOf } from "../base/parts/named.ts";
import type { Value } from "./value.ts";

/**
 * What a model takes, gives and is compared with: one value, or several by name. A type of one's own for several is an
 * alias, such as `type Outputs = { digit: Value; box: Value }`.
 */
export type Values = Named<Value>;

/** Whether `values` is one. */
export function isValue(values: unknown): values is Value {
  // A record may have a value called "dtype", which is no text.
  return typeof (values as Partial<Value> | null | undefined)?.dtype === "string";
}

/** One value under the name `what`, several each under `what.name`. */
export function valueParts(what: string, values: Values): Parts<Value> {
  return partsOf(what, values, isValue);
}

/** Each of `values` as `change` gives it, under the same names. */
export function mapValues<T extends Values>(values: T, change: (value: Value) => Value): T {
  if (isValue(values)) return change(values) as T;
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, change(value)])) as T;
}
