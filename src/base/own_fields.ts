import { nodeBuiltin } from "./node_builtin.ts";

/** Up to here listing the keys is fastest. Beyond, the text that is made of each index takes longer than all else. */
export const FEW_ELEMENTS = 16;
/** From here on JavaScriptCore is fastest in printing the first hundred elements. */
const MANY_ELEMENTS = 1024;

/** What is known of the elements of a list that is looked at. */
export interface KnownElements {
  readonly length: number;
  /** The elements alone, where there is a copy of them and none is an object; or that all are numbers. */
  readonly primitives?: readonly unknown[] | "numbers" | undefined;
}

/**
 * Whether an array or a typed array has anything beside its elements: `list.name = "x"`. No runtime says that without
 * making a text of each index (1.4 s for 400 000 in JavaScriptCore), so a list of {@link FEW_ELEMENTS} or more is
 * compared with its elements. Of such a list symbols and what is enumerable are found; a named property that was
 * hidden with `Object.defineProperty` is not.
 */
export function hasFieldsOfItsOwn(
  list: readonly unknown[] | ArrayBufferView,
  { length, primitives }: KnownElements,
): boolean {
  // An array has the field `length`, a typed array inherits it.
  const known = Array.isArray(list) ? 1 : 0;
  if (length < FEW_ELEMENTS) return Reflect.ownKeys(list).length !== length + known;
  if (Object.getOwnPropertySymbols(list).length > 0) return true;
  const inspect = (globalThis as { Bun?: { inspect?: (value: unknown) => string } }).Bun?.inspect;
  if (inspect !== undefined && primitives !== undefined) {
    if (length < MANY_ELEMENTS) return hasFieldsInClone(list);
    const printed = inspect(list);
    // Between numbers there are commas; a field has its name, and a colon.
    return primitives === "numbers" ? printed.includes(":") : printed !== inspect(primitives);
  }
  // V8 has the texts of small numbers at hand.
  const isShort = inspect === undefined && length < MANY_ELEMENTS;
  const isEqual = isShort ? undefined : nodeBuiltin("node:util")?.isDeepStrictEqual;
  if (isEqual === undefined) return Object.keys(list).length !== length;
  return !isEqual(list, Array.isArray(list) ? list.slice() : (list as Uint8Array).slice());
}

/** A clone has the fields as well, and may be cut. */
function hasFieldsInClone(list: unknown): boolean {
  const clone = structuredClone(list) as unknown[];
  clone.length = 0;
  return Reflect.ownKeys(clone).length > 1;
}
