import type { DType } from "../base/dtype.ts";
import { elementCount, type Shape } from "../tensor/shape.ts";

/** Attributes of an op: what it depends on besides its inputs. Plain readonly values. */
export type Attributes = Readonly<Record<string, unknown>>;

/**
 * A tensor that does not exist yet: the result of an op on other values. Immutable; nothing is computed and no
 * memory is held until a program that contains it is compiled and run.
 */
export interface Value<A extends Attributes = Attributes> {
  /** Larger than the id of every input, so that ids in ascending order are an order of execution. */
  readonly id: number;
  /** Name of its op. `definitionOf` gives the op itself. */
  readonly op: string;
  /** What it is computed from, in the order of its op. */
  readonly inputs: readonly Value[];
  /** Its op's attributes, such as the axis of a sum. */
  readonly attributes: A;
  /** The dtype of its elements. */
  readonly dtype: DType;
  /** Sizes of the dimensions, outermost first; `[]` is a scalar. */
  readonly shape: Shape;
}

/** What messages and plans call `value`: its op, with the name that the user gave it, if any. */
export function labelOf(value: Value): string {
  const { name } = value.attributes;
  return typeof name === "string" ? `${value.op} "${name}"` : value.op;
}

/** How many elements `value` has. */
export function sizeOf(value: Value): number {
  return elementCount(value.shape);
}

/** The values that `roots` are computed from, with the roots, in order of execution. */
export function reachable(roots: Iterable<Value>): Value[] {
  const found = new Set<Value>();
  const waiting = [...roots];
  for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
    if (found.has(value)) continue;
    found.add(value);
    waiting.push(...value.inputs);
  }
  return [...found].sort((a, b) => a.id - b.id);
}
