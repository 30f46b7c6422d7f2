import { formatShape } from "../../../tensor/shape.ts";
import type { Value } from "../../value.ts";
import { cast } from "../cast.ts";

/** `indices` as the `u32` that kernels read; a `TypeError` unless it holds whole numbers. */
export function indicesOf(op: string, indices: Value): Value {
  if (["u32", "i32", "u8"].includes(indices.dtype)) return cast(indices, "u32");
  throw new TypeError(
    `${op}: indices are u32, i32 or u8, not ${indices.dtype} of shape ${formatShape(indices.shape)}; ` +
      'convert them with cast(value, "u32")',
  );
}
