/** Element type of a tensor. The GPU computes in f32, i32 and u32; the others are stored, cast, or live on the host. */
export type DType =
  | "bool"
  | "u8"
  | "i8"
  | "u16"
  | "i16"
  | "u32"
  | "i32"
  | "u64"
  | "i64"
  | "f16"
  | "bf16"
  | "f32"
  | "f64";

/** Every dtype with its size in bytes and its id in a `.cairn` file. Ids are never reused. */
export const DTYPES: Readonly<Record<DType, { readonly byteSize: number; readonly id: number }>> = {
  bool: { byteSize: 1, id: 1 },
  u8: { byteSize: 1, id: 2 },
  i8: { byteSize: 1, id: 3 },
  u16: { byteSize: 2, id: 4 },
  i16: { byteSize: 2, id: 5 },
  u32: { byteSize: 4, id: 6 },
  i32: { byteSize: 4, id: 7 },
  u64: { byteSize: 8, id: 8 },
  i64: { byteSize: 8, id: 9 },
  f16: { byteSize: 2, id: 10 },
  bf16: { byteSize: 2, id: 11 },
  f32: { byteSize: 4, id: 12 },
  f64: { byteSize: 8, id: 13 },
};

/** What other systems call them. */
const FOREIGN_NAMES: Readonly<Record<string, DType>> = {
  boolean: "bool",
  uint8: "u8",
  byte: "u8",
  int8: "i8",
  char: "i8",
  uint16: "u16",
  int16: "i16",
  short: "i16",
  uint32: "u32",
  int32: "i32",
  int: "i32",
  uint64: "u64",
  int64: "i64",
  long: "i64",
  float16: "f16",
  half: "f16",
  bfloat16: "bf16",
  float32: "f32",
  float: "f32",
  single: "f32",
  float64: "f64",
  double: "f64",
};

/** `dtype`, or a `TypeError` that says what to write: "f32" for "float32". */
export function requireDType(dtype: DType): DType {
  if (typeof dtype === "string" && Object.hasOwn(DTYPES, dtype)) return dtype;
  const found: unknown = dtype;
  const known = String(found).toLowerCase().replace(/^torch\.|^np\.|array$|tensor$/g, "");
  const advice = Object.hasOwn(FOREIGN_NAMES, known)
    ? `write "${FOREIGN_NAMES[known]}"`
    : Object.hasOwn(DTYPES, known)
    ? `write "${known}"`
    : `there is ${Object.keys(DTYPES).join(", ")}`;
  throw new TypeError(
    `${typeof found === "string" ? JSON.stringify(found) : String(found)} is no dtype; ${advice}`,
  );
}

/** Size in bytes of one element of `dtype`. @throws TypeError for an unknown dtype. */
export function byteSizeOf(dtype: DType): number {
  return DTYPES[requireDType(dtype)].byteSize;
}
