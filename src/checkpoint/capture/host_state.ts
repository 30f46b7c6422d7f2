import { CairnError } from "../../base/errors.ts";
import { type StateValue, TensorRef } from "../../container/format/state_tree.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
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

/** The state again, with the bytes of each tensor from `read`. Between two tensors other work goes on. */
export async function thawState(
  state: StateValue,
  read: (name: string) => Promise<TensorBytes>,
): Promise<HostState> {
  const refs = new Map<string, TensorRef>();
  collectRefs(state, refs);
  const leaves = new Map<string, HostState>();
  for (const [key, { name, view }] of refs) {
    const { dtype, shape, bytes } = await read(name);
    if (view === "Array" && dtype !== "f64") throw noNumbers(name, dtype);
    leaves.set(key, asTypedArray(view, bytes) ?? HostTensor.fromBytes(bytes.slice(), dtype, shape));
  }
  return thaw(state, leaves);
}

/** The same tensor as the same kind of array is one leaf. */
function keyOf({ name, view }: TensorRef): string {
  return `${view ?? ""} ${name}`;
}

function collectRefs(value: StateValue, refs: Map<string, TensorRef>): void {
  if (typeof value !== "object" || value === null || value instanceof Date) return;
  if (value instanceof TensorRef) {
    refs.set(keyOf(value), value);
    return;
  }
  if (value instanceof Map) { for (const key of value.keys()) collectRefs(key, refs); }
  const items = value instanceof Map || value instanceof Set ? value.values() : Object.values(value);
  for (const item of items) collectRefs(item, refs);
}

function thaw(value: StateValue, leaves: ReadonlyMap<string, HostState>): HostState {
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  if (value instanceof TensorRef) return leaves.get(keyOf(value));
  if (value instanceof Map) {
    return new Map(Array.from(value, ([key, item]) => [thaw(key, leaves), thaw(item, leaves)]));
  }
  if (value instanceof Set) return new Set(Array.from(value, (item) => thaw(item, leaves)));
  if (Array.isArray(value)) return (value as readonly StateValue[]).map((item) => thaw(item, leaves));
  const fields: { [key: string]: HostState } = {};
  for (const [key, item] of Object.entries(value)) fields[key] = thaw(item, leaves);
  return fields;
}

function noNumbers(tensor: string, dtype: string): CairnError {
  return new CairnError(
    "invalid_container",
    `The state tree is not valid: the array of numbers "${tensor}" is a tensor of ${dtype}, expected f64`,
    { details: { tensor } },
  );
}
