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
  const { missing } = compareState(names, saved);
  if (missing.length === 0) return;
  const fields = isPlain(saved) ? saved : {};
  const quoted = (list: readonly string[]): string => list.map((name) => `"${name}"`).join(", ") || "none";
  throw new CairnError(
    "state_mismatch",
    `Cannot load ${from}: it has no state named ${quoted(missing)}; it has ${quoted(Object.keys(fields))}. ` +
      "Nothing was changed",
    { details: { value: missing } },
  );
}

/** What restoring state by name did, or would do. */
export interface StateReport {
  readonly restored: readonly string[];
  /** Asked for and not saved. They keep what they had. */
  readonly missing: readonly string[];
  /** Saved and not asked for. */
  readonly unexpected: readonly string[];
}

/** Compares the names that are asked for with those that were saved. */
export function compareState(names: readonly string[], saved: HostState): StateReport {
  const fields = isPlain(saved) ? saved : {};
  const isSaved = (name: string): boolean => Object.hasOwn(fields, name);
  return {
    restored: names.filter(isSaved),
    missing: names.filter((name) => !isSaved(name)),
    unexpected: Object.keys(fields).filter((name) => !names.includes(name)),
  };
}

/**
 * Puts saved state back in place: a `Stateful` takes its own, also inside of plain objects; a plain object gets the saved
 * fields; a typed array of the same kind and length gets the saved elements; and anything else is replaced. Names that are not
 * saved stay as they are.
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
    else if (isPlain(current) && isPlain(value)) await updateFields(current, value);
    else if (!fillsInPlace(current, value)) target[name] = value;
  }
}

/** Field by field, but objects with a state of their own stay where they are, at any depth. */
async function updateFields(
  current: { [key: string]: StateInput },
  saved: { readonly [key: string]: HostState },
): Promise<void> {
  for (const [key, value] of Object.entries(saved)) {
    const field = current[key];
    if (isStateful(field)) await field.loadStateDict(value);
    else if (isPlain(field) && isPlain(value) && holdsStateful(field)) await updateFields(field, value);
    else current[key] = value;
  }
}

function holdsStateful(fields: { readonly [key: string]: unknown }): boolean {
  return Object.values(fields).some((value) => isStateful(value) || (isPlain(value) && holdsStateful(value)));
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
