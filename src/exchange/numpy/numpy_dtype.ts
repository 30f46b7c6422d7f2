import type { DType } from "../../base/dtype.ts";

/** The dtypes by NumPy's codes for them, which count bytes, without the byte order. */
export const DTYPE_OF_CODE: Readonly<Record<string, DType>> = {
  b1: "bool",
  u1: "u8",
  i1: "i8",
  u2: "u16",
  i2: "i16",
  u4: "u32",
  i4: "i32",
  u8: "u64",
  i8: "i64",
  f2: "f16",
  f4: "f32",
  f8: "f64",
};

/** NumPy's letters for the same, with C's sizes where NumPy was built for Unix. */
const CODE_OF_LETTER: Readonly<Record<string, string>> = {
  "?": "b1",
  b: "i1",
  B: "u1",
  h: "i2",
  H: "u2",
  i: "i4",
  I: "u4",
  l: "i8",
  L: "u8",
  q: "i8",
  Q: "u8",
  p: "i8",
  P: "u8",
  e: "f2",
  f: "f4",
  d: "f8",
};

/** NumPy's names for the same. A name has no byte order. */
const CODE_OF_NAME: Readonly<Record<string, string>> = {
  bool: "b1",
  bool_: "b1",
  bool8: "b1",
  int8: "i1",
  byte: "i1",
  uint8: "u1",
  ubyte: "u1",
  int16: "i2",
  short: "i2",
  uint16: "u2",
  ushort: "u2",
  int32: "i4",
  intc: "i4",
  uint32: "u4",
  uintc: "u4",
  int64: "i8",
  int: "i8",
  int_: "i8",
  intp: "i8",
  long: "i8",
  longlong: "i8",
  uint64: "u8",
  uint: "u8",
  uintp: "u8",
  ulong: "u8",
  ulonglong: "u8",
  float16: "f2",
  half: "f2",
  float32: "f4",
  single: "f4",
  float64: "f8",
  float: "f8",
  float_: "f8",
  double: "f8",
};

/**
 * What a `descr` says that NumPy reads as numbers: `<f4`, `|u1`, `=i8`, `f4`, `?`, `float32`. Without an order it is
 * little-endian.
 */
export function parseDescr(
  descr: string,
): { readonly dtype: DType | undefined; readonly isBigEndian: boolean } {
  const [, order = "", rest = ""] = /^([<>|=]?)(.*)$/.exec(descr) ?? [];
  const ofLetter = lookUp(CODE_OF_LETTER, rest);
  const dtype = lookUp(DTYPE_OF_CODE, ofLetter ?? lookUp(CODE_OF_NAME, descr) ?? rest);
  return { dtype, isBigEndian: order === ">" };
}

function lookUp<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}
