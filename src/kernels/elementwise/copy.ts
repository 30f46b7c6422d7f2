import { type Dispatch, linearGrid, linearMainWgsl } from "../../gpu/dispatch.ts";
import { boundParts, type KernelMemory, numberRecords } from "../kernel_steps.ts";
import { requireSizes } from "../sizes.ts";
import { elementwise } from "./elementwise.ts";

/** What a copy copies. */
export interface CopyOptions {
  /** How many elements of 4 bytes. */
  readonly count: number;
}

/** What a copy binds. */
export interface CopyBindings<B> {
  readonly input: B;
  readonly out: B;
}

/** Copies elements of 4 bytes, bit for bit whatever they mean. */
export function copy<B>(bindings: CopyBindings<B>, options: CopyOptions): Dispatch<B> {
  const { count } = options;
  return elementwise({
    label: `copy ${count}`,
    inputs: [{ binding: bindings.input, dtype: "u32", strides: [1] }],
    outputs: [{ binding: bindings.out, dtype: "u32", expression: { kind: "input", index: 0 } }],
    shape: [count],
  });
}

/**
 * The same with a count that is bound, so that copies of all sizes share a pipeline: a CPU adapter takes a twentieth of
 * a second to compile one.
 */
export function sharedCopy<B>(
  { input, out }: CopyBindings<B>,
  { count }: CopyOptions,
  memory: KernelMemory<B>,
): Dispatch<B> {
  requireSizes("copy", { count });
  const width = count % 4 === 0 ? 4 : 1;
  const counts = numberRecords(memory, "elements of a copy", [[count / width]]);
  return {
    label: `copy ${count}`,
    code: sharedWgsl(width === 4 ? "vec4<u32>" : "u32"),
    constants: {},
    bindings: [input, out, counts(0)],
    workgroups: linearGrid(count / width),
  };
}

/** {@link sharedCopy} of `count` elements, a dispatch for each part of what is larger than a binding. */
export function copyParts<B>(
  { input, out }: CopyBindings<B>,
  count: number,
  memory: KernelMemory<B>,
): Dispatch<B>[] {
  const targets = boundParts(memory, out, count);
  return boundParts(memory, input, count).map((part, index) => {
    const target = targets[index] ?? part;
    return sharedCopy({ input: part.binding, out: target.binding }, { count: part.count }, memory);
  });
}

function sharedWgsl(word: "u32" | "vec4<u32>"): string {
  return `@group(0) @binding(0) var<storage, read> input: array<${word}>;
@group(0) @binding(1) var<storage, read_write> out: array<${word}>;
@group(0) @binding(2) var<uniform> count: u32;

${linearMainWgsl("count")}
  out[index] = input[index];
}
`;
}
