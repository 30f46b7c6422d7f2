import { CairnError, type CairnErrorDetails } from "../../base/errors.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import { NumpyArray } from "./numpy_arrays.ts";
import { NumpyDType } from "./numpy_scalars.ts";
import { OpaqueValue } from "../opaque_value.ts";
import {
  ComplexNumber,
  PickleDict,
  PickleGlobal,
  PickleObject,
  PickleSet,
  type PickleValue,
} from "./pickle_values.ts";
import { quoted } from "../tensor_file.ts";
import { TorchType } from "./torch_dtypes.ts";
import { TorchStorage, TorchTensor } from "./torch_tensor.ts";
import { UnreadableTensor } from "../unreadable_tensor.ts";

const MAX_DEPTH = 500;
const MAX_VISITS = 1_000_000;

/**
 * What a checkpoint says, as plain values. A dict is an object where all its keys are texts, and a Map elsewhere;
 * lists and tuples are arrays; None is null; dtypes are texts such as `"torch.float32"`; an array of NumPy is a
 * `HostTensor`. What is not known is an {@link OpaqueValue}.
 */
export type TorchState =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | ComplexNumber
  | HostTensor
  | TorchTensor
  | UnreadableTensor
  | OpaqueValue<TorchState>
  | TorchState[]
  | Set<TorchState>
  | Map<TorchState, TorchState>
  | { [key: string]: TorchState };

/**
 * Plain values for what a pickle built; what it shares stays shared. Throws a `CairnError` for great depth, for
 * cycles of plain values, and where there is nothing but a name that is not known.
 */
export function plainState(root: PickleValue): TorchState {
  const state = new PlainState().convert(root);
  if (!(state instanceof OpaqueValue) || tensorsByPath(state).size > 0) return state;
  const what = root instanceof TorchStorage ? "a storage, without a tensor" : state.name;
  throw unsupported(
    `holds ${what} alone: the pickle names ${
      quoted(state.name)
    }, which is not among the names that are plain data; it is \
refused, and nothing was run. Save tensors, numbers, texts, lists and dicts only`,
    { value: state.name },
  );
}

class PlainState {
  readonly #done = new Map<object, TorchState>();
  readonly #open = new Set<object>();

  convert(value: PickleValue): TorchState {
    if (typeof value !== "object" || value === null) return value;
    const before = this.#done.get(value);
    if (before !== undefined) return before;
    if (this.#open.has(value)) throw unsupported("contains itself");
    if (this.#open.size >= MAX_DEPTH) throw unsupported(`nests deeper than ${MAX_DEPTH} levels`);
    this.#open.add(value);
    const plain = this.#convertObject(value);
    this.#open.delete(value);
    this.#done.set(value, plain);
    return plain;
  }

  #convertObject(value: PickleValue & object): TorchState {
    if (value instanceof Uint8Array || value instanceof ComplexNumber || value instanceof UnreadableTensor) {
      return value;
    }
    if (value instanceof TorchTensor) return this.#withAttributes(value);
    if (value instanceof PickleObject) return this.#opaque(value);
    if (Array.isArray(value)) return value.map((item) => this.convert(item));
    if (value instanceof PickleSet) return new Set([...value.items].map((item) => this.convert(item)));
    if (value instanceof PickleDict) return this.#dict(value);
    if (value instanceof TorchType) return value.isStorage ? new OpaqueValue(value.name) : value.name;
    if (value instanceof NumpyDType) return value.describe();
    if (value instanceof NumpyArray) return this.#array(value);
    if (value instanceof TorchStorage) return new OpaqueValue("torch.storage");
    return new OpaqueValue(value instanceof PickleGlobal ? value.name : "an object");
  }

  /** Objects often hold each other, so that one may be met again before it is whole. */
  #opaque(object: PickleObject): OpaqueValue<TorchState> {
    const opaque = new OpaqueValue<TorchState>(object.name);
    this.#done.set(object, opaque);
    opaque.args = object.args?.map((item) => this.convert(item));
    if (object.state !== undefined) opaque.state = this.convert(object.state);
    for (const item of object.items) opaque.items.push(this.convert(item));
    for (const [key, item] of object.entries) opaque.entries.set(this.convert(key), this.convert(item));
    return opaque;
  }

  #withAttributes(tensor: TorchTensor): TorchTensor {
    this.#done.set(tensor, tensor);
    if (tensor.pickledAttributes !== undefined) tensor.attributes = this.convert(tensor.pickledAttributes);
    return tensor;
  }

  #array(array: NumpyArray): TorchState {
    const plain = array.toPlain();
    return plain instanceof HostTensor ? plain : this.convert(plain);
  }

  #dict({ items }: PickleDict): TorchState {
    const entries = [...items].map((
      [key, value],
    ): [TorchState, TorchState] => [this.convert(key), this.convert(value)]);
    const isObject = entries.every((entry): entry is [string, TorchState] =>
      typeof entry[0] === "string" && entry[0] !== "__proto__"
    );
    return isObject ? Object.fromEntries(entries) : new Map(entries);
  }
}

/**
 * Every tensor by its path in the state, keys joined by dots: `model.0.weight`, `optimizer.state.0.exp_avg`. A tensor
 * that is the whole state is `tensor`. Of an {@link OpaqueValue}, items and entries are at its own path, the rest at
 * `args` and `state`.
 */
export function tensorsByPath(state: TorchState): Map<string, TorchTensor | UnreadableTensor> {
  const found = new Map<string, TorchTensor | UnreadableTensor>();
  const open = new Set<TorchState>();
  let visits = 0;
  const visit = (value: TorchState, path: string): void => {
    // Shared lists may be walked many times over: a small file could ask for more paths than fit into memory.
    if (++visits > MAX_VISITS) throw unsupported(`has more than ${MAX_VISITS} values`);
    if (value instanceof TorchTensor || value instanceof UnreadableTensor) {
      const name = path === "" ? "tensor" : path;
      if (found.has(name)) throw unsupported(`has two tensors at ${quoted(name)}; take them from its state`);
      found.set(name, value);
      return;
    }
    if (open.has(value)) return;
    if (value instanceof OpaqueValue) open.add(value);
    for (const [key, child] of childrenOf(value)) visit(child, path === "" ? key : `${path}.${key}`);
    open.delete(value);
  };
  visit(state, "");
  return found;
}

function childrenOf(value: TorchState): [string, TorchState][] {
  if (
    typeof value !== "object" || value === null || value instanceof Uint8Array ||
    value instanceof HostTensor ||
    value instanceof ComplexNumber
  ) return [];
  if (value instanceof OpaqueValue) {
    const { args, state, items, entries } = value;
    const parts: [string, TorchState | undefined][] = [["args", args as TorchState[] | undefined], [
      "state",
      state,
    ]];
    return [
      ...parts.filter((part): part is [string, TorchState] => part[1] !== undefined),
      ...childrenOf(items),
      ...childrenOf(entries),
    ];
  }
  const entries = value instanceof Map || Array.isArray(value) || value instanceof Set
    ? [...value.entries()]
    : Object.entries(value);
  return entries.map(([key, child], i): [string, TorchState] => [
    typeof key === "object" && key !== null ? String(i) : String(key),
    child,
  ]);
}

function unsupported(problem: string, details: CairnErrorDetails = {}): CairnError {
  return new CairnError("unsupported", `The checkpoint's state ${problem}`, { details });
}
