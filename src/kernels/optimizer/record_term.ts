import type { Dispatch } from "../../gpu/dispatch.ts";
import { NAN_BITS } from "../float_bits.ts";
import { requireSizes } from "../sizes.ts";
import { STEP_SCALARS_WGSL } from "../step_scalars.ts";
import { STEP_CONTROL_WGSL, STEP_VERDICT_WGSL } from "./step_verdict.ts";

/** What is bound to keep a number of a step. */
export interface RecordTermBindings<B> {
  /** One f32, read. */
  readonly term: B;
  readonly scalars: B;
  /** As `stepVerdict` left them: read. */
  readonly control: B;
  readonly verdict: B;
  /** f32, the numbers of the last steps: written at the step's number modulo their count. */
  readonly ring: B;
}

/**
 * Keeps a number of a step beside its loss, under the verdict's rule: NaN for a batch that was skipped, and nothing
 * of a step that stopped the run, nor of those after it.
 */
export function recordTerm<B>(
  bindings: RecordTermBindings<B>,
  { ringCount }: { readonly ringCount: number },
): Dispatch<B> {
  requireSizes("recordTerm", { ringCount });
  const { term, scalars, control, verdict, ring } = bindings;
  return {
    label: `recordTerm ${ringCount}`,
    code: RECORD_TERM_WGSL,
    constants: { ring_count: ringCount },
    bindings: [term, scalars, control, verdict, ring],
    workgroups: [1, 1, 1],
  };
}

const RECORD_TERM_WGSL = `override ring_count: u32;

${STEP_SCALARS_WGSL}
${STEP_CONTROL_WGSL}
${STEP_VERDICT_WGSL}
@group(0) @binding(0) var<storage, read> term: u32;
@group(0) @binding(1) var<uniform> scalars: StepScalars;
@group(0) @binding(2) var<storage, read> control: StepControl;
@group(0) @binding(3) var<uniform> verdict: StepVerdict;
@group(0) @binding(4) var<storage, read_write> ring: array<u32>;

@compute @workgroup_size(1)
fn main() {
  if (control.stopped != 0u) {
    return;
  }
  ring[scalars.step % ring_count] = select(${NAN_BITS}u, term, verdict.applies != 0u);
}
`;
