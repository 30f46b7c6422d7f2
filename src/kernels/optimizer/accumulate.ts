import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { requireSizes } from "../sizes.ts";
import { STEP_SCALARS_WGSL } from "../step_scalars.ts";

/** What {@link accumulate} binds. */
export interface AccumulateBindings<B> {
  /** Of this piece of the batch: read. */
  readonly piece: B;
  /** Read and written, in another buffer. */
  readonly sum: B;
  readonly scalars: B;
}

/**
 * Adds `count` elements of f32 of a piece of a batch to those of the pieces before; the first piece begins anew,
 * whatever there was.
 */
export function accumulate<B>(
  { piece, sum, scalars }: AccumulateBindings<B>,
  { count }: { readonly count: number },
): Dispatch<B> {
  requireSizes("accumulate", { count });
  const isVector = count % 4 === 0;
  const elements = isVector ? count / 4 : count;
  return {
    label: `accumulate ${count}`,
    code: accumulateWgsl(isVector ? "vec4<f32>" : "f32"),
    constants: { count: elements },
    bindings: [scalars, piece, sum],
    workgroups: linearGrid(elements),
  };
}

function accumulateWgsl(elements: "f32" | "vec4<f32>"): string {
  return `override count: u32;

${STEP_SCALARS_WGSL}
@group(0) @binding(0) var<uniform> scalars: StepScalars;
@group(0) @binding(1) var<storage, read> piece: array<${elements}>;
@group(0) @binding(2) var<storage, read_write> sum: array<${elements}>;

${LINEAR_MAIN_WGSL}
  let own = piece[index];
  sum[index] = select(sum[index] + own, own, scalars.first_example == 0u);
}
`;
}
