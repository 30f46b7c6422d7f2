import { CairnError } from "../../base/errors.ts";
import { PickleDict, PickleGlobal, PickleSet, type PickleValue } from "./pickle_values.ts";
import { quoted } from "./tensor_file.ts";
import { TorchType } from "./torch_globals.ts";
import { TorchTensor } from "./torch_tensor.ts";

const MAX_DEPTH = 500;
const MAX_VISITS = 1_000_000;

/**
 * What a checkpoint says, as plain values. A dict is an object where all its keys are texts, and a Map elsewhere; lists and
 * tuples are arrays; None is null; dtypes are texts such as `"torch.float32"`.
 */
export type TorchState =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | TorchTensor
  | TorchState[]
  | Set<TorchState>
  | Map<TorchState, TorchState>
  | { [key: string]: TorchState };

/** Plain values for what a pickle built; what it shares stays shared. Throws a `CairnError` for cycles and great depth. */
export function plainState(root: PickleValue): TorchState {
  const done = new Map<object, TorchState>();
  const open = new Set<object>();
  const convert = (value: PickleValue): TorchState => {
    if (typeof value !== "object" || value === null || value instanceof TorchTensor) return value;
    const before = done.get(value);
    if (before !== undefined) return before;
    if (open.has(value)) throw unsupported("contains itself");
    if (open.size >= MAX_DEPTH) throw unsupported(`nests deeper than ${MAX_DEPTH} levels`);
    open.add(value);
    const plain = convertObject(value, convert);
    open.delete(value);
    done.set(value, plain);
    return plain;
  };
  return convert(root);
}

function convertObject(value: PickleValue & object, convert: (value: PickleValue) => TorchState): TorchState {
  if (value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(convert);
  if (value instanceof PickleSet) return new Set([...value.items].map(convert));
  if (value instanceof PickleDict) return convertDict(value, convert);
  if (value instanceof TorchType && value.type !== undefined && !value.isStorage) {
    return `torch.${value.type.name}`;
  }
  const what = value instanceof PickleGlobal ? value.name : "a storage, without a tensor";
  throw unsupported(`holds ${what}`);
}

function convertDict({ items }: PickleDict, convert: (value: PickleValue) => TorchState): TorchState {
  const entries = [...items].map(([key, value]): [TorchState, TorchState] => [convert(key), convert(value)]);
  const isObject = entries.every((entry): entry is [string, TorchState] =>
    typeof entry[0] === "string" && entry[0] !== "__proto__"
  );
  return isObject ? Object.fromEntries(entries) : new Map(entries);
}

/**
 * Every tensor by its path in the state, keys joined by dots: `model.0.weight`, `optimizer.state.0.exp_avg`. A tensor that
 * is the whole state is `tensor`.
 */
export function tensorsByPath(state: TorchState): Map<string, TorchTensor> {
  const found = new Map<string, TorchTensor>();
  let visits = 0;
  const visit = (value: TorchState, path: string): void => {
    // Shared lists may be walked many times over: a small file could ask for more paths than there is room for.
    if (++visits > MAX_VISITS) throw unsupported(`has more than ${MAX_VISITS} places`);
    if (value instanceof TorchTensor) {
      const name = path === "" ? "tensor" : path;
      if (found.has(name)) throw unsupported(`has two tensors at ${quoted(name)}; take them from its state`);
      found.set(name, value);
      return;
    }
    for (const [key, child] of childrenOf(value)) visit(child, path === "" ? key : `${path}.${key}`);
  };
  visit(state, "");
  return found;
}

function childrenOf(value: TorchState): [string, TorchState][] {
  if (
    typeof value !== "object" || value === null || value instanceof Uint8Array || value instanceof TorchTensor
  ) return [];
  const entries = value instanceof Map || Array.isArray(value) || value instanceof Set
    ? [...value.entries()]
    : Object.entries(value);
  return entries.map(([key, child], i): [string, TorchState] => [
    typeof key === "object" && key !== null ? String(i) : String(key),
    child,
  ]);
}

function unsupported(problem: string): CairnError {
  return new CairnError("unsupported", `The checkpoint's state ${problem}`);
}
