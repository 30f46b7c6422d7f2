import type { DType } from "../../base/dtype.ts";
import { PickleOpaque } from "./pickle_values.ts";
import type { TorchDType } from "./torch_tensor.ts";

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
  ["float4_e2m1fn_x2", 1],
  ["qint8", 1],
  ["quint8", 1],
  ["qint32", 4],
  ["quint4x2", 1],
  ["quint2x4", 1],
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
  QInt8Storage: "qint8",
  QUInt8Storage: "quint8",
  QInt32Storage: "qint32",
  QUInt4x2Storage: "quint4x2",
  QUInt2x4Storage: "quint2x4",
};

const UNTYPED = ["torch.UntypedStorage", "torch.storage.UntypedStorage", "torch.storage._UntypedStorage"];

/** A dtype, or a class of storages, as a pickle names it. */
export class TorchType extends PickleOpaque {
  readonly name: string;
  /** Of the elements. What PyTorch calls untyped has bytes. */
  readonly type: TorchDType;
  readonly isStorage: boolean;

  constructor(name: string, type: TorchDType, isStorage: boolean) {
    super();
    this.name = name;
    this.type = type;
    this.isStorage = isStorage;
  }
}

/** What a name of PyTorch's stands for, if it is a dtype or a class of storages. */
export function torchType(name: string): TorchType | undefined {
  const short = /^torch\.(\w+)$/.exec(name)?.[1] ?? "";
  const dtype = torchDType(short);
  if (dtype !== undefined) return new TorchType(name, dtype, false);
  const element = Object.hasOwn(STORAGE_TYPES, short) ? STORAGE_TYPES[short] : undefined;
  const ofStorage = torchDType(UNTYPED.includes(name) ? "uint8" : element);
  return ofStorage === undefined ? undefined : new TorchType(name, ofStorage, true);
}

function torchDType(name: string | undefined): TorchDType | undefined {
  const found = DTYPES.find(([candidate]) => candidate === name);
  if (found === undefined) return undefined;
  const [ofName, byteSize, dtype] = found;
  return { name: ofName, byteSize, dtype };
}
