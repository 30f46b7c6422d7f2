import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import type { ComputeDType } from "./expression.ts";
import { bitsOf } from "../float_bits.ts";
import { boundParts, type KernelMemory } from "../kernel_steps.ts";
import { requireSizes } from "../sizes.ts";

/** What a fill writes. */
export interface FillOptions {
  /** Elements of `out`. */
  readonly count: number;
  /** Any number for f32, which is rounded to it; a whole number in range for the others. */
  readonly value: number;
  /** Default "f32". */
  readonly dtype?: ComputeDType;
}

/** `out[i] = value`, bit for bit: NaN and infinities too. Throws `RangeError` when the dtype has no such value. */
export function fill<B>(bindings: { readonly out: B }, options: FillOptions): Dispatch<B> {
  const { count, value, dtype = "f32" } = options;
  requireSizes("fill", { count });
  const isVector = count % 4 === 0;
  return {
    label: `fill ${count}`,
    code: isVector ? fillWgsl("vec4<u32>") : fillWgsl("u32"),
    constants: { count: isVector ? count / 4 : count, bits: wordOf(value, dtype) },
    bindings: [bindings.out],
    workgroups: linearGrid(isVector ? count / 4 : count),
  };
}

/** {@link fill}, as a dispatch for each part of what is larger than a binding. */
export function fillParts<B>(
  { out }: { readonly out: B },
  options: FillOptions,
  memory: KernelMemory<B>,
): Dispatch<B>[] {
  return boundParts(memory, out, options.count).map(({ binding, count }) =>
    fill({ out: binding }, { ...options, count })
  );
}

/** The 32 bits of a value, since a pipeline constant cannot be NaN or infinite. */
function wordOf(value: number, dtype: ComputeDType): number {
  if (dtype === "f32") return bitsOf(value);
  const [low, high] = dtype === "i32" ? [-(2 ** 31), 2 ** 31 - 1] : [0, 2 ** 32 - 1];
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new RangeError(`fill: ${dtype} holds whole numbers from ${low} to ${high}, not ${value}`);
  }
  return value >>> 0;
}

function fillWgsl(word: "u32" | "vec4<u32>"): string {
  return `override count: u32;
override bits: u32;

@group(0) @binding(0) var<storage, read_write> out: array<${word}>;

${LINEAR_MAIN_WGSL}
  out[index] = ${word}(bits);
}
`;
}
