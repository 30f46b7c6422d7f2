import { requireDType } from "../../base/dtype.ts";
import type { ComputeDType } from "../../kernels/elementwise/expression.ts";
import { createValue } from "../create_value.ts";
import { item, type OpDefinition } from "../op.ts";
import type { Value } from "../value.ts";
import { transposeOp } from "./views.ts";

/**
 * `value` in a dtype that shaders compute in. `f32` to an integer rounds towards zero and clamps to its range, NaN
 * becomes 0; `bool` and `u8` are 0..1 and 0..255.
 */
export function cast(value: Value, dtype: ComputeDType): Value {
  requireDType(dtype);
  if (!["f32", "i32", "u32"].includes(dtype)) {
    throw new TypeError(
      `cast: the GPU computes in f32, i32 and u32, not ${dtype}; read the result and convert it on the host`,
    );
  }
  return value.dtype === dtype ? value : createValue(castOp, [value], {}, dtype, value.shape);
}

/**
 * `cast(value, dtype)` with the axes in the order of `permutation`: one kernel that reads `value` where it is, also in
 * a dtype that no shader computes in, which `transpose` by itself has to refuse.
 */
export function castTransposed(value: Value, dtype: ComputeDType, permutation: readonly number[]): Value {
  const shape = permutation.map((axis) => item(value.shape, axis));
  return cast(createValue(transposeOp, [value], { permutation }, value.dtype, shape), dtype);
}

/** Gradients are `f32`, also of `f16` and `bf16` values; none flows through integers. */
export const castOp: OpDefinition = {
  name: "cast",
  lowering: {
    kind: "elementwise",
    cost: "cheap",
    expression: (value, inputs) => ({ kind: "cast", a: item(inputs, 0), dtype: value.dtype as ComputeDType }),
  },
  gradient(value, outGrad) {
    const from = item(value.inputs, 0).dtype;
    const isFloat = from === "f32" || from === "f16" || from === "bf16";
    return isFloat && value.dtype === "f32" ? [outGrad] : [];
  },
};
