import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { requireSizes } from "../sizes.ts";

/** What {@link addInto} binds. */
export interface AddIntoBindings<B> {
  /** Read. */
  readonly addend: B;
  /** Read and written, in another buffer. */
  readonly sum: B;
}

/** Sizes of {@link addInto}. */
export interface AddIntoOptions {
  /** Words of 4 bytes. */
  readonly count: number;
  /** From which word on they are whole numbers, which are added modulo 2^32; f32 before. Default: none is. */
  readonly integersFrom?: number | undefined;
}

/** Adds `count` words to others, one by one. f32 are rounded once, so that neither order nor place changes a bit. */
export function addInto<B>(
  { addend, sum }: AddIntoBindings<B>,
  { count, integersFrom = count }: AddIntoOptions,
): Dispatch<B> {
  requireSizes("addInto", { count, integersFrom });
  const width = count % 4 === 0 && integersFrom % 4 === 0 ? 4 : 1;
  return {
    label: `addInto ${count}`,
    code: addIntoWgsl(width === 4 ? "vec4" : undefined),
    constants: { count: count / width, integers_from: integersFrom / width },
    bindings: [addend, sum],
    workgroups: linearGrid(count / width),
  };
}

function addIntoWgsl(vector: "vec4" | undefined): string {
  const of = (scalar: string): string => vector === undefined ? scalar : `${vector}<${scalar}>`;
  return `override count: u32;
override integers_from: u32;

@group(0) @binding(0) var<storage, read> addend: array<${of("u32")}>;
@group(0) @binding(1) var<storage, read_write> sum: array<${of("u32")}>;

${LINEAR_MAIN_WGSL}
  let own = addend[index];
  let other = sum[index];
  let real = bitcast<${of("u32")}>(bitcast<${of("f32")}>(other) + bitcast<${of("f32")}>(own));
  sum[index] = select(real, other + own, index >= integers_from);
}
`;
}
