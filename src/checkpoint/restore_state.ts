import { CairnError } from "../base/errors.ts";
import { type HostState, isStateful, type StateInput } from "./host_state.ts";
import { isTypedArray } from "./typed_arrays.ts";

/** State by name, as a caller holds it. */
export type StateByName = { [name: string]: StateInput };

/**
 * Checks that every name is in the saved state.
 *
 * @throws CairnError `state_mismatch` that names what is missing and what is there.
 */
export function requireState(names: readonly string[], saved: HostState, from: string): void {
  const fields = isPlain(saved) ? saved : {};
  const missing = names.filter((name) => !Object.hasOwn(fields, name));
  if (missing.length === 0) return;
  const quoted = (list: readonly string[]): string => list.map((name) => `"${name}"`).join(", ") || "none";
  throw new CairnError(
    "state_mismatch",
    `Cannot load ${from}: it has no state named ${quoted(missing)}; it has ${quoted(Object.keys(fields))}. ` +
      "Nothing was changed",
    { details: { value: missing } },
  );
}

/**
 * Puts saved state back in place: a `Stateful` takes its own, a plain object gets the saved fields, a typed array of the
 * same kind and length gets the saved elements, and anything else is replaced. Names that are not saved stay as they are.
 */
export async function applyState(
  target: StateByName,
  saved: HostState,
  names: readonly string[],
): Promise<void> {
  const fields = isPlain(saved) ? saved : {};
  for (const name of names) {
    if (!Object.hasOwn(fields, name)) continue;
    const current = target[name];
    const value = fields[name];
    if (isStateful(current)) await current.loadStateDict(value);
    else if (isPlain(current) && isPlain(value)) Object.assign(current, value);
    else if (!fillsInPlace(current, value)) target[name] = value;
  }
}

/** Whether `value` is an object of fields, and neither of a class nor a list. */
export function isPlain(value: unknown): value is { [key: string]: HostState } {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function fillsInPlace(current: unknown, value: HostState): boolean {
  if (!isTypedArray(current) || !isTypedArray(value)) return false;
  if (current[Symbol.toStringTag] !== value[Symbol.toStringTag] || current.length !== value.length) {
    return false;
  }
  const bytesOf = (array: ArrayBufferView): Uint8Array =>
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  bytesOf(current).set(bytesOf(value));
  return true;
}
