import { type Dispatch, gridFor } from "../gpu/dispatch.ts";
import { LEVELS_INVOCATIONS, LEVELS_SPAN_WGSL, type LevelsCounts } from "./levels_span.ts";
import { PREFIX_SUM_WGSL } from "./prefix_sum.ts";

/** What the kernel reads and writes: words all of it. */
export interface LevelsOffsetsBindings<B> {
  /** A uniform, `encodeLevelsSpan`. */
  readonly span: B;
  /** Heads of groups: those that were measured, or chunks as they are stored. */
  readonly heads: B;
  /** For each chunk where its heads begin, as an index into `heads`. */
  readonly starts: B;
  /** For each group where its body begins in its stored chunk. */
  readonly offsets: B;
  /** For each chunk how long it is stored. */
  readonly lengths: B;
}

/**
 * The second pass of the codec `levels`, and the first of its inverse: where the bodies of a chunk's groups are. A
 * workgroup for each chunk adds up what their heads say.
 */
export function levelsOffsets<B>(
  { span, heads, starts, offsets, lengths }: LevelsOffsetsBindings<B>,
  { chunks }: Pick<LevelsCounts, "chunks">,
): Dispatch<B> {
  return {
    label: "levels offsets",
    code: OFFSETS_WGSL,
    constants: {},
    bindings: [span, heads, starts, offsets, lengths],
    workgroups: gridFor(chunks),
  };
}

const OFFSETS_WGSL = `@group(0) @binding(0) var<uniform> span: Span;
@group(0) @binding(1) var<storage, read> heads: array<u32>;
@group(0) @binding(2) var<storage, read> starts: array<u32>;
@group(0) @binding(3) var<storage, read_write> offsets: array<u32>;
@group(0) @binding(4) var<storage, read_write> lengths: array<u32>;

${LEVELS_SPAN_WGSL}
${PREFIX_SUM_WGSL}
@compute @workgroup_size(${LEVELS_INVOCATIONS})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let first_chunk = span.first_group / span.chunk_groups;
  let chunk = first_chunk + workgroup.y * workgroups.x + workgroup.x;
  let first = chunk * span.chunk_groups;
  if (first >= span.end_group) {
    return;
  }
  let groups = min(span.chunk_groups, span.end_group - first);
  let start = starts[chunk];
  // Behind the chunk's raw length and its heads.
  var offset = 1u + groups;
  for (var tile = 0u; tile < groups; tile += ${LEVELS_INVOCATIONS}u) {
    let index = tile + local;
    var words = 0u;
    if (index < groups) {
      words = head_of(heads[start + index]).words;
    }
    let before = sum_before(local, words);
    if (index < groups) {
      offsets[first + index] = offset + before;
    }
    offset += prefix_total;
  }
  if (local == 0u) {
    lengths[chunk] = offset;
  }
}
`;
