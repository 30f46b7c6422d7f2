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
