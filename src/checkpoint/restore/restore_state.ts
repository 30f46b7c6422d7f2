import { CairnError } from "../../base/errors.ts";
import type { HostState, StateInput } from "../capture/state_types.ts";

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
  /** Names that got their saved state. */
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

/** Whether `value` is an object of fields, and neither of a class nor a list. */
export function isPlain(value: unknown): value is { [key: string]: HostState } {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
