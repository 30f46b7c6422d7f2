import type { DType } from "../../base/dtype.ts";
import type { ComputeDType, ElementwiseFunction } from "./expression.ts";

const COMPUTE_DTYPES: Readonly<Partial<Record<DType, ComputeDType>>> = {
  f32: "f32",
  f16: "f32",
  bf16: "f32",
  i32: "i32",
  i16: "i32",
  i8: "i32",
  u32: "u32",
  u16: "u32",
  u8: "u32",
  bool: "u32",
};

/** The dtype that elements stored as `storage` are loaded as. Throws `TypeError` for 64-bit dtypes, which GPUs lack. */
export function computeDTypeOf(storage: DType): ComputeDType {
  const dtype = COMPUTE_DTYPES[storage];
  if (dtype === undefined) throw new TypeError(`The GPU cannot compute with ${storage}; cast it on the host`);
  return dtype;
}

/** The dtype of the function's result for operands of these dtypes; `TypeError` where it does not take them. */
export function resultDType(
  { name, takes, gives }: ElementwiseFunction,
  operands: readonly ComputeDType[],
): ComputeDType {
  const [dtype = "f32", ...others] = operands;
  for (const other of others) {
    if (other === dtype) continue;
    throw new TypeError(`"${name}" takes two operands of one dtype, not ${dtype} and ${other}; cast one`);
  }
  if (!takes.includes(dtype)) throw new TypeError(`"${name}" does not take ${dtype}`);
  return gives ?? dtype;
}
