import { CairnError } from "../../base/errors.ts";
import { inSlices, Slice, type Sliced } from "../../base/slices.ts";
import { type StateValue, TensorRef } from "../../container/format/state_tree.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import { StateFreezer } from "./state_freezer.ts";
import type { HostBytes, HostState, StateInput, StateRoot, TensorBytes } from "./state_types.ts";
import { asTypedArray } from "./typed_arrays.ts";

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
 * A deep copy of `value`, with typed arrays, host tensors and long arrays of numbers taken out of line as tensors
 * named "state:<path>". The same one in two places is stored once and is one again when it is loaded.
 *
 * @throws TypeError that says where something is that would not come back as it is: a function, a class instance, an
 * array with a field of its own, a subclass of a built-in class, a hole, an accessor, a cycle. Of an array of 16
 * elements or more accessors at an index are kept as their values, and named properties that are not enumerable are
 * not seen.
 */
export function freezeState(value: StateInput, root: StateRoot = "state"): FrozenHostState {
  const freezer = new StateFreezer(root);
  const state = freezer.freeze(value);
  return { state, tensors: freezer.tensors };
}

/**
 * The state again, with the bytes of each tensor from `read`. Between two tensors, and two slices of a large tree,
 * other work goes on.
 */
export async function thawState(
  state: StateValue,
  read: (name: string) => Promise<TensorBytes>,
): Promise<HostState> {
  const refs = new Map<string, TensorRef>();
  await inSlices(collectRefs(state, refs, new Slice()));
  const leaves = new Map<string, HostState>();
  for (const [key, { name, view }] of refs) {
    const { dtype, shape, bytes } = await read(name);
    if (view === "Array" && dtype !== "f64") throw noNumbers(name, dtype);
    leaves.set(key, asTypedArray(view, bytes) ?? HostTensor.fromBytes(bytes.slice(), dtype, shape));
  }
  return await inSlices(thaw(state, { leaves, slice: new Slice() }));
}

/** The same tensor as the same kind of array is one leaf. */
function keyOf({ name, view }: TensorRef): string {
  return `${view ?? ""} ${name}`;
}

function isPrimitive(value: StateValue): value is Exclude<StateValue, object> {
  return typeof value !== "object" || value === null;
}

function* collectRefs(value: StateValue, refs: Map<string, TensorRef>, slice: Slice): Sliced<void> {
  if (isPrimitive(value) || value instanceof Date) return;
  if (value instanceof TensorRef) {
    refs.set(keyOf(value), value);
    return;
  }
  const lists = value instanceof Map
    ? [value.keys(), value.values()]
    : [Array.isArray(value) || value instanceof Set ? value : Object.values(value)];
  for (const list of lists as Iterable<StateValue>[]) {
    for (const item of list) {
      if (!isPrimitive(item)) yield* collectRefs(item, refs, slice);
      if (slice.isOver()) yield;
    }
  }
}

interface Thawing {
  readonly leaves: ReadonlyMap<string, HostState>;
  readonly slice: Slice;
}

function* thaw(value: StateValue, thawing: Thawing): Sliced<HostState> {
  if (isPrimitive(value) || value instanceof Date) return value;
  if (value instanceof TensorRef) return thawing.leaves.get(keyOf(value));
  if (value instanceof Map) return yield* thawMap(value, thawing);
  if (value instanceof Set) return new Set(yield* thawList(value, thawing));
  if (Array.isArray(value)) return yield* thawList(value as readonly StateValue[], thawing);
  return yield* thawFields(value as { readonly [key: string]: StateValue }, thawing);
}

function* thawMap(value: Map<StateValue, StateValue>, thawing: Thawing): Sliced<HostState> {
  const map = new Map<HostState, HostState>();
  for (const [key, item] of value) {
    map.set(
      isPrimitive(key) ? key : yield* thaw(key, thawing),
      isPrimitive(item) ? item : yield* thaw(item, thawing),
    );
    if (thawing.slice.isOver(2)) yield;
  }
  return map;
}

function* thawList(value: Iterable<StateValue>, thawing: Thawing): Sliced<HostState[]> {
  const list: HostState[] = [];
  for (const item of value) {
    list.push(isPrimitive(item) ? item : yield* thaw(item, thawing));
    if (thawing.slice.isOver()) yield;
  }
  return list;
}

function* thawFields(value: { readonly [key: string]: StateValue }, thawing: Thawing): Sliced<HostState> {
  const fields: { [key: string]: HostState } = {};
  for (const key of Object.keys(value)) {
    const item = value[key];
    fields[key] = isPrimitive(item) ? item : yield* thaw(item, thawing);
    if (thawing.slice.isOver()) yield;
  }
  return fields;
}

function noNumbers(tensor: string, dtype: string): CairnError {
  return new CairnError(
    "invalid_container",
    `The state tree is not valid: the array of numbers "${tensor}" is a tensor of ${dtype}, expected f64`,
    { details: { tensor } },
  );
}
