import type { DType } from "../../base/dtype.ts";

/** A dtype of safetensors. */
export interface SafetensorsDType {
  readonly name: string;
  /** Size of an element; several elements can share a byte. */
  readonly bits: number;
  /** Absent where Cairn has no such dtype. */
  readonly dtype?: DType | undefined;
}

/** All of them, in the format's order: alignments rise. Files have their tensors in the opposite order. */
export const SAFETENSORS_DTYPES: readonly SafetensorsDType[] = [
  { name: "BOOL", bits: 8, dtype: "bool" },
  { name: "F4", bits: 4 },
  { name: "F6_E2M3", bits: 6 },
  { name: "F6_E3M2", bits: 6 },
  { name: "U8", bits: 8, dtype: "u8" },
  { name: "I8", bits: 8, dtype: "i8" },
  { name: "F8_E5M2", bits: 8 },
  { name: "F8_E4M3", bits: 8 },
  { name: "F8_E8M0", bits: 8 },
  { name: "F8_E4M3FNUZ", bits: 8 },
  { name: "F8_E5M2FNUZ", bits: 8 },
  { name: "I16", bits: 16, dtype: "i16" },
  { name: "U16", bits: 16, dtype: "u16" },
  { name: "F16", bits: 16, dtype: "f16" },
  { name: "BF16", bits: 16, dtype: "bf16" },
  { name: "I32", bits: 32, dtype: "i32" },
  { name: "U32", bits: 32, dtype: "u32" },
  { name: "F32", bits: 32, dtype: "f32" },
  { name: "C64", bits: 64 },
  { name: "F64", bits: 64, dtype: "f64" },
  { name: "I64", bits: 64, dtype: "i64" },
  { name: "U64", bits: 64, dtype: "u64" },
];

/** The dtype of that name in a file. */
export function safetensorsDType(name: string): SafetensorsDType | undefined {
  return SAFETENSORS_DTYPES.find((candidate) => candidate.name === name);
}

/** Place of a dtype of Cairn's in {@link SAFETENSORS_DTYPES}. */
export function safetensorsRank(dtype: DType): number {
  return SAFETENSORS_DTYPES.findIndex((candidate) => candidate.dtype === dtype);
}
