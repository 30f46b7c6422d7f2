import type { DType } from "../../base/dtype.ts";
import { CairnError } from "../../base/errors.ts";
import { numpyGlobal } from "./numpy_scalars.ts";
import { isTuple } from "./pickle_machine.ts";
import { PickleDict, PickleGlobal, PickleOpaque, PickleSet, type PickleValue } from "./pickle_values.ts";
import { type TorchDType, TorchStorage, TorchTensor } from "./torch_tensor.ts";

/** PyTorch's dtypes with their sizes and Cairn's names for them. */
const DTYPES: readonly (readonly [name: string, byteSize: number, dtype?: DType])[] = [
  ["bool", 1, "bool"],
  ["uint8", 1, "u8"],
  ["int8", 1, "i8"],
  ["uint16", 2, "u16"],
  ["int16", 2, "i16"],
  ["uint32", 4, "u32"],
  ["int32", 4, "i32"],
  ["uint64", 8, "u64"],
  ["int64", 8, "i64"],
  ["float16", 2, "f16"],
  ["bfloat16", 2, "bf16"],
  ["float32", 4, "f32"],
  ["float64", 8, "f64"],
  ["complex32", 4],
  ["complex64", 8],
  ["complex128", 16],
  ["float8_e4m3fn", 1],
  ["float8_e5m2", 1],
  ["float8_e4m3fnuz", 1],
  ["float8_e5m2fnuz", 1],
  ["float8_e8m0fnu", 1],
];

/** The classes of storages that have a type of elements. */
const STORAGE_TYPES: Readonly<Record<string, string>> = {
  BoolStorage: "bool",
  ByteStorage: "uint8",
  CharStorage: "int8",
  ShortStorage: "int16",
  IntStorage: "int32",
  LongStorage: "int64",
  HalfStorage: "float16",
  BFloat16Storage: "bfloat16",
  FloatStorage: "float32",
  DoubleStorage: "float64",
  ComplexFloatStorage: "complex64",
  ComplexDoubleStorage: "complex128",
};

/** A dtype, or a class of storages, as a pickle names it. */
export class TorchType extends PickleOpaque {
  /** Absent for storages without a type. */
  readonly type: TorchDType | undefined;
  readonly isStorage: boolean;

  constructor(type: TorchDType | undefined, isStorage: boolean) {
    super();
    this.type = type;
    this.isStorage = isStorage;
  }
}

/**
 * The names that a checkpoint may say, and what each stands for. Everything a name does is written in this folder: data is
 * put into place, and nothing is looked up in any runtime.
 */
export function torchGlobal(name: string): PickleValue | undefined {
  const dtypeName = /^torch\.(\w+)$/.exec(name)?.[1] ?? "";
  const dtype = torchDType(dtypeName);
  if (dtype !== undefined) return new TorchType(dtype, false);
  if (Object.hasOwn(STORAGE_TYPES, dtypeName)) {
    return new TorchType(torchDType(STORAGE_TYPES[dtypeName]), true);
  }
  if (name === "torch.storage.UntypedStorage" || name === "torch.UntypedStorage") {
    return new TorchType(undefined, true);
  }
  const call = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
  return call === undefined ? numpyGlobal(name) : new PickleGlobal(name, call);
}

function torchDType(name: string | undefined): TorchDType | undefined {
  const found = DTYPES.find(([candidate]) => candidate === name);
  if (found === undefined) return undefined;
  const [ofName, byteSize, dtype] = found;
  return { name: ofName, byteSize, ...dtype === undefined ? {} : { dtype } };
}

const FUNCTIONS: Readonly<Record<string, (args: readonly PickleValue[]) => PickleValue>> = {
  "collections.OrderedDict": orderedDict,
  "__builtin__.set": set,
  "builtins.set": set,
  "torch.Size": ([sizes]) => isTuple(sizes) ? sizes : refuse("torch.Size"),
  "torch.device": (args) => args.join(":"),
  "torch._utils._rebuild_tensor_v2": ([storage, offset, shape, strides, requiresGrad]) =>
    rebuild(storage, storage instanceof TorchStorage ? storage.type : undefined, [
      offset,
      shape,
      strides,
      requiresGrad,
    ]),
  "torch._utils._rebuild_tensor_v3": ([storage, offset, shape, strides, requiresGrad, , dtype]) =>
    rebuild(storage, dtype instanceof TorchType ? dtype.type : undefined, [
      offset,
      shape,
      strides,
      requiresGrad,
    ]),
  "torch._utils._rebuild_parameter": ([tensor, requiresGrad]) =>
    tensor instanceof TorchTensor && typeof requiresGrad === "boolean"
      ? new TorchTensor(tensor.storage, tensor.type, tensor, requiresGrad)
      : refuse("torch._utils._rebuild_parameter"),
};

function rebuild(
  storage: PickleValue | undefined,
  type: TorchDType | undefined,
  rest: readonly (PickleValue | undefined)[],
): PickleValue {
  const [offset, shape, strides, requiresGrad] = rest;
  const fits = storage instanceof TorchStorage && type !== undefined && typeof offset === "number" &&
    isNumbers(shape) && isNumbers(strides) && typeof requiresGrad === "boolean";
  if (!fits) return refuse("torch._utils._rebuild_tensor");
  return new TorchTensor(storage, type, { shape, strides, offset }, requiresGrad);
}

function orderedDict([items]: readonly PickleValue[]): PickleValue {
  const dict = new PickleDict();
  for (const item of Array.isArray(items) ? items : []) {
    if (!Array.isArray(item) || item.length !== 2) return refuse("collections.OrderedDict");
    dict.items.set(item[0] as PickleValue, item[1] as PickleValue);
  }
  return dict;
}

function set([items]: readonly PickleValue[]): PickleValue {
  const made = new PickleSet();
  for (const item of Array.isArray(items) ? items : []) made.items.add(item);
  return made;
}

function isNumbers(value: PickleValue | undefined): value is number[] {
  return Array.isArray(value) && value.every((item) => typeof item === "number");
}

function refuse(name: string): never {
  throw new CairnError("invalid_file", `The pickle calls ${name} with arguments that it does not take`);
}
