import type { Dispatch } from "../../gpu/dispatch.ts";
import { elementwise } from "./elementwise.ts";

/** Which elements a copy reads. */
export interface CopyOptions {
  /** Of the output, which is contiguous. */
  readonly shape: readonly number[];
  /** Elements of the input between neighbours along each dimension. Default: contiguous. A transpose permutes them. */
  readonly strides?: readonly number[];
}

/**
 * Copies elements of 4 bytes, bit for bit whatever they mean, into a contiguous tensor: reordered, repeated (stride 0)
 * or as they are.
 */
export function copy<B>(bindings: { readonly input: B; readonly out: B }, options: CopyOptions): Dispatch<B> {
  const { shape, strides = contiguousStrides(shape) } = options;
  return elementwise({
    label: `copy ${shape.join("x")}`,
    inputs: [{ binding: bindings.input, dtype: "u32", strides }],
    outputs: [{ binding: bindings.out, dtype: "u32", expression: { kind: "input", index: 0 } }],
    shape,
  });
}

/** Element strides of a contiguous tensor, row-major. */
function contiguousStrides(shape: readonly number[]): number[] {
  let stride = 1;
  return shape.map((_, fromStart) => {
    const axis = shape.length - 1 - fromStart;
    const own = stride;
    stride *= shape[axis] ?? 1;
    return own;
  }).reverse();
}
