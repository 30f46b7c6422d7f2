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

/** Size in bytes of one element of `dtype`. */
export function byteSizeOf(dtype: DType): number {
  return DTYPES[dtype].byteSize;
}
