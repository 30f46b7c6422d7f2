import type { DType } from "../../base/dtype.ts";
import type { ComputeDType } from "../../kernels/elementwise/expression.ts";
import { broadcastShapes, formatShape, type Shape } from "../../tensor/shape.ts";
import type { Value } from "../value.ts";

/** The dtypes that shaders compute in. */
export const ANY: readonly ComputeDType[] = ["f32", "i32", "u32"];

/** Those of numbers that have a sign. */
export const SIGNED: readonly ComputeDType[] = ["f32", "i32"];

/** That of real numbers. */
export const FLOAT: readonly ComputeDType[] = ["f32"];

/** That of logical values. */
export const LOGICAL: readonly ComputeDType[] = ["u32"];

/** The dtype of `value` when shaders compute in it; otherwise a `TypeError` that says to cast. */
export function requireComputeDType(op: string, value: Value): ComputeDType {
  requireDType(op, value, ANY);
  return value.dtype as ComputeDType;
}

/** A `TypeError` unless the dtype of `value` is one of `allowed`. */
export function requireDType(op: string, value: Value, allowed: readonly DType[]): void {
  if (allowed.includes(value.dtype)) return;
  throw new TypeError(
    `${op}: takes ${allowed.join(", ")}, not ${value.dtype} of shape ${formatShape(value.shape)}; ` +
      `convert it with cast(value, "${allowed[0]}")`,
  );
}

/** A `TypeError` unless both have one dtype. */
export function requireSameDType(op: string, a: Value, b: Value): void {
  if (a.dtype === b.dtype) return;
  throw new TypeError(
    `${op}: ${a.dtype} of shape ${formatShape(a.shape)} and ${b.dtype} of shape ` +
      `${formatShape(b.shape)} differ in dtype; ` +
      `convert one with cast(value, "${a.dtype === "f32" || b.dtype === "f32" ? "f32" : a.dtype}")`,
  );
}

/** The shape that both broadcast to, by NumPy's rule, or a `TypeError` with both shapes. */
export function broadcastOf(op: string, a: Value, b: Value): Shape {
  try {
    return broadcastShapes(a.shape, b.shape);
  } catch (cause) {
    throw new TypeError(
      `${op}: shapes ${formatShape(a.shape)} and ` +
        `${formatShape(b.shape)} do not broadcast: aligned at the right, ` +
        "sizes have to be equal or 1; reshape one of them",
      { cause },
    );
  }
}
