import { CairnError } from "../base/errors.ts";
import { type StateValue, TensorRef } from "../container/format/state_tree.ts";
import { HostTensor } from "../tensor/host_tensor.ts";
import { StateFreezer } from "./state_freezer.ts";
import type { HostBytes, HostState, StateInput, StateRoot, TensorBytes } from "./state_types.ts";
import { asTypedArray } from "./typed_arrays.ts";

export { isStateful } from "./is_stateful.ts";

export type { HostBytes, HostState, Stateful, StateInput, StateRoot, TensorBytes } from "./state_types.ts";

/** A state tree in which nothing is shared with the caller any more. */
export interface FrozenHostState {
  readonly state: StateValue;
  readonly tensors: readonly HostBytes[];
}

/** Whether a container's tensor of this name is a part of a host state. No group of a store has such a name. */
export function isHostTensorName(name: string): boolean {
  return name.startsWith("state:") || name.startsWith("clientState:");
}

/**
 * A deep copy of `value`, with typed arrays, host tensors and long arrays of numbers taken out of line as tensors named
 * "state:<path>". The same one in two places is stored once and is one again when it is loaded.
 *
 * @throws TypeError that names the place of what would not come back as it is: a function, a class instance, an array with a field
 * of its own, a subclass of a built-in class, a hole, a cycle.
 */
export function freezeState(value: StateInput, root: StateRoot = "state"): FrozenHostState {
  const freezer = new StateFreezer(root);
  const state = freezer.freeze(value);
  return { state, tensors: freezer.tensors };
}

/** The state again, with the bytes of each tensor from `read`. */
export async function thawState(
  state: StateValue,
  read: (name: string) => Promise<TensorBytes>,
): Promise<HostState> {
  const leaves = new Map<string, HostState>();
  const thaw = async (value: StateValue): Promise<HostState> => {
    if (typeof value !== "object" || value === null || value instanceof Date) return value;
    if (value instanceof TensorRef) {
      const key = `${value.view ?? ""} ${value.name}`;
      const found = leaves.get(key);
      if (found !== undefined) return found;
      const { dtype, shape, bytes } = await read(value.name);
      if (value.view === "Array" && dtype !== "f64") throw noNumbers(value.name, dtype);
      const leaf = asTypedArray(value.view, bytes) ?? HostTensor.fromBytes(bytes.slice(), dtype, shape);
      leaves.set(key, leaf);
      return leaf;
    }
    if (value instanceof Map) {
      const map = new Map<HostState, HostState>();
      for (const [key, item] of value) map.set(await thaw(key), await thaw(item));
      return map;
    }
    if (value instanceof Set) {
      const set = new Set<HostState>();
      for (const item of value) set.add(await thaw(item));
      return set;
    }
    return await thawFields(value as readonly StateValue[] | { readonly [key: string]: StateValue }, thaw);
  };
  return await thaw(state);
}

async function thawFields(
  value: readonly StateValue[] | { readonly [key: string]: StateValue },
  thaw: (value: StateValue) => Promise<HostState>,
): Promise<HostState> {
  if (Array.isArray(value)) {
    const items: HostState[] = [];
    for (const item of value) items.push(await thaw(item));
    return items;
  }
  const fields: { [key: string]: HostState } = {};
  for (const [key, item] of Object.entries(value)) fields[key] = await thaw(item);
  return fields;
}

function noNumbers(tensor: string, dtype: string): CairnError {
  return new CairnError(
    "invalid_container",
    `The state tree is not valid: the array of numbers "${tensor}" is a tensor of ${dtype}, expected f64`,
    { details: { tensor } },
  );
}
