import type { Dispatch } from "../../gpu/dispatch.ts";
import { elementwise } from "./elementwise.ts";

/** What a copy copies. */
export interface CopyOptions {
  /** How many elements of 4 bytes. */
  readonly count: number;
}

/** Copies elements of 4 bytes, bit for bit whatever they mean. */
export function copy<B>(bindings: { readonly input: B; readonly out: B }, options: CopyOptions): Dispatch<B> {
  const { count } = options;
  return elementwise({
    label: `copy ${count}`,
    inputs: [{ binding: bindings.input, dtype: "u32", strides: [1] }],
    outputs: [{ binding: bindings.out, dtype: "u32", expression: { kind: "input", index: 0 } }],
    shape: [count],
  });
}
