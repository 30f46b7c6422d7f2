import type { Dispatch } from "../../gpu/dispatch.ts";
import { LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { requireSizes } from "../sizes.ts";
import { GATE_WGSL, STEP_VERDICT_WGSL } from "./step_verdict.ts";

/** What {@link gatedCopy} binds. */
export interface GatedCopyBindings<B> {
  readonly from: B;
  /** Written, in another buffer. */
  readonly into: B;
  readonly verdict: B;
}

/**
 * Copies the bits of `count` elements of 4 bytes where the verdict lets a step count, and does nothing otherwise: the
 * new tensors of an optimiser that is made of ops.
 */
export function gatedCopy<B>(
  { from, into, verdict }: GatedCopyBindings<B>,
  { count }: { readonly count: number },
): Dispatch<B> {
  requireSizes("gatedCopy", { count });
  return {
    label: `gatedCopy ${count}`,
    code: GATED_COPY_WGSL,
    constants: { count },
    bindings: [verdict, from, into],
    workgroups: linearGrid(count),
  };
}

const GATED_COPY_WGSL = `override count: u32;

${STEP_VERDICT_WGSL}
@group(0) @binding(0) var<uniform> verdict: StepVerdict;
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> target_words: array<u32>;

${LINEAR_MAIN_WGSL}
${GATE_WGSL}
  target_words[index] = source[index];
}
`;
