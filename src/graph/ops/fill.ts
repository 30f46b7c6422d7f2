import type { Shape } from "../../tensor/shape.ts";
import type { Value } from "../value.ts";
import { constant } from "./sources.ts";
import { broadcastTo } from "./views.ts";

/** A tensor of `shape` with every element `value`. A literal of the kernels that use it, where elementwise ops do. */
export function full(shape: Shape, value: number, dtype: "f32" | "i32" | "u32" = "f32"): Value {
  return broadcastTo(constant(value, dtype), shape);
}

/** A tensor of zeros. */
export function zeros(shape: Shape, dtype: "f32" | "i32" | "u32" = "f32"): Value {
  return full(shape, 0, dtype);
}

/** A tensor of ones. */
export function ones(shape: Shape, dtype: "f32" | "i32" | "u32" = "f32"): Value {
  return full(shape, 1, dtype);
}
