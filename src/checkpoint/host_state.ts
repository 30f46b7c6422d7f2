import { plainEntries } from "../base/canonical_json.ts";
import type { DType } from "../base/dtype.ts";
import type { TensorSpec } from "../container/format/layout.ts";
import { encodeState, type StateValue, TensorRef } from "../container/format/state_tree.ts";
import { problemOfName } from "../container/format/tensor_name.ts";
import { HostTensor } from "../tensor/host_tensor.ts";
import { asTypedArray, dtypeOfView, isTypedArray, type TypedArray, viewNameOf } from "./typed_arrays.ts";

/** Something that says what it has to remember, and takes it back. Follows torchsnapshot's `Stateful`. */
export interface Stateful {
  /** Its state now. Called in the tick of the snapshot, so it cannot be asynchronous. */
  stateDict(): StateInput;
  loadStateDict(state: HostState): void | Promise<void>;
}

/** What a checkpoint gives back: plain data of JavaScript, typed arrays and host tensors, nested at will. */
export type HostState =
  | undefined
  | null
  | boolean
  | number
  | bigint
  | string
  | Date
  | TypedArray
  | HostTensor
  | Map<HostState, HostState>
  | Set<HostState>
  | HostState[]
  | { [key: string]: HostState };

/** What a checkpoint takes: {@link HostState}, and {@link Stateful} objects in it. */
export type StateInput =
  | undefined
  | null
  | boolean
  | number
  | bigint
  | string
  | Date
  | TypedArray
  | HostTensor
  | Stateful
  | ReadonlyMap<StateInput, StateInput>
  | ReadonlySet<StateInput>
  | readonly StateInput[]
  | { readonly [key: string]: StateInput };

/** The bytes of one tensor. */
export interface TensorBytes {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Bytes that go into the container as a tensor. */
export interface HostBytes {
  readonly spec: TensorSpec;
  readonly bytes: Uint8Array;
}

/** A state tree in which nothing is shared with the caller any more. */
export interface FrozenHostState {
  readonly state: StateValue;
  readonly tensors: readonly HostBytes[];
}

/** What a tree is of: the run, or the user. Its tensors are named after it. */
export type StateRoot = "state" | "clientState";

/** Whether a container's tensor of this name is a part of a host state. No group of a store has such a name. */
export function isHostTensorName(name: string): boolean {
  return name.startsWith("state:") || name.startsWith("clientState:");
}

/**
 * A deep copy of `value`, with typed arrays and host tensors taken out of line as tensors named "state:<path>".
 * The same array in two places is stored once and is one array again when it is loaded.
 *
 * @throws TypeError that names the place of what cannot be saved: a function, a class instance, a cycle.
 */
export function freezeState(value: StateInput, root: StateRoot = "state"): FrozenHostState {
  const freezer = new Freezer(root);
  const state = freezer.freeze(value, "");
  // Refuses now, with the place, what could not be written later, in the background.
  encodeState(state);
  return { state, tensors: freezer.tensors };
}

/** The state again, with the bytes of each tensor from `read`. */
export async function thawState(
  state: StateValue,
  read: (name: string) => Promise<TensorBytes>,
): Promise<HostState> {
  const leaves = new Map<string, TypedArray | HostTensor>();
  const thaw = async (value: StateValue): Promise<HostState> => {
    if (typeof value !== "object" || value === null || value instanceof Date) return value;
    if (value instanceof TensorRef) {
      const key = `${value.view ?? ""} ${value.name}`;
      const found = leaves.get(key);
      if (found !== undefined) return found;
      const { dtype, shape, bytes } = await read(value.name);
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

/** Whether `value` can give and take its own state. */
export function isStateful(value: unknown): value is Stateful {
  const candidate = value as Partial<Stateful> | null | undefined;
  return typeof candidate === "object" && typeof candidate?.stateDict === "function" &&
    typeof candidate.loadStateDict === "function";
}

class Freezer {
  readonly tensors: HostBytes[] = [];
  readonly #refs = new Map<object, TensorRef>();
  readonly #names = new Set<string>();
  readonly #above = new Set<object>();
  readonly #root: StateRoot;

  constructor(root: StateRoot) {
    this.#root = root;
  }

  freeze(value: StateInput, path: string): StateValue {
    if (typeof value !== "object" || value === null) return value;
    if (isTypedArray(value)) {
      return this.#refTo(value, path, () => ({
        dtype: dtypeOfView(viewNameOf(value)),
        shape: [value.length],
        bytes: new Uint8Array(value.buffer, value.byteOffset, value.byteLength).slice(),
      }), viewNameOf(value));
    }
    if (value instanceof HostTensor) {
      const { dtype, shape } = value;
      return this.#refTo(value, path, () => ({ dtype, shape, bytes: value.bytes.slice() }));
    }
    if (this.#above.has(value)) {
      throw new TypeError(`${this.#root}${path} contains itself; a state has no cycles`);
    }
    this.#above.add(value);
    const frozen = this.#freezeContainer(value, path);
    this.#above.delete(value);
    return frozen;
  }

  #freezeContainer(value: object, path: string): StateValue {
    if (isStateful(value)) return this.#freezeStateful(value, path);
    if (Array.isArray(value)) {
      // Not `map`, which would carry holes over: reading one gives `undefined`.
      return Array.from(value, (item: StateInput, index) => this.freeze(item, `${path}[${index}]`));
    }
    if (value instanceof Date) return new Date(value.getTime());
    if (value instanceof Map) {
      let index = 0;
      const map = new Map<StateValue, StateValue>();
      for (const [key, item] of value as ReadonlyMap<StateInput, StateInput>) {
        const frozenKey = this.freeze(key, `${path}.key${index}`);
        map.set(frozenKey, this.freeze(item, `${path}.${typeof key === "string" ? key : index}`));
        index++;
      }
      return map;
    }
    if (value instanceof Set) {
      return new Set(
        [...value as ReadonlySet<StateInput>].map((item, index) => this.freeze(item, `${path}.${index}`)),
      );
    }
    const fields: { [key: string]: StateValue } = {};
    for (const [key, item] of plainEntries(value, `${this.#root}${path}`)) {
      fields[key] = this.freeze(item as StateInput, `${path}.${key}`);
    }
    return fields;
  }

  #freezeStateful(value: Stateful, path: string): StateValue {
    const state = value.stateDict();
    if (state instanceof Promise) {
      throw new TypeError(
        `${this.#root}${path}.stateDict() returned a promise; it has to give the state of this very moment`,
      );
    }
    return this.freeze(state, path);
  }

  #refTo(value: object, path: string, copy: () => TensorBytes, view?: string): TensorRef {
    const known = this.#refs.get(value);
    if (known !== undefined) return known;
    const { dtype, shape, bytes } = copy();
    const name = this.#nameFor(path);
    const ref = view === undefined ? new TensorRef(name) : new TensorRef(name, view);
    this.#refs.set(value, ref);
    this.tensors.push({ spec: { name, dtype, shape }, bytes });
    return ref;
  }

  /** The path where it makes a good name; paths may be too long, hold anything, or be alike ("a.b" and a → b). */
  #nameFor(path: string): string {
    const prefix = `${this.#root}:`;
    const wanted = prefix + (path.startsWith(".") ? path.slice(1) : path || "value");
    let name = problemOfName(wanted) === undefined ? wanted : `${prefix}#`;
    for (let count = this.tensors.length; this.#names.has(name) || name.endsWith("#"); count++) {
      name = `${prefix}#${count}`;
    }
    this.#names.add(name);
    return name;
  }
}
