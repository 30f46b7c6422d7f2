import { type Dispatch, gridFor } from "../gpu/dispatch.ts";
import { LEVELS_INVOCATIONS, LEVELS_RUN_WGSL, type LevelsCounts } from "./levels_run.ts";
import { PREFIX_SUM_WGSL } from "./prefix_sum.ts";

/** What the kernel reads and writes: words all of it. */
export interface LevelsPlaceBindings<B> {
  /** A uniform, `encodeLevelsRun`. */
  readonly run: B;
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
export function levelsPlace<B>(
  { run, heads, starts, offsets, lengths }: LevelsPlaceBindings<B>,
  { chunks }: Pick<LevelsCounts, "chunks">,
): Dispatch<B> {
  return {
    label: "levels place",
    code: PLACE_WGSL,
    constants: {},
    bindings: [run, heads, starts, offsets, lengths],
    workgroups: gridFor(chunks),
  };
}

const PLACE_WGSL = `@group(0) @binding(0) var<uniform> run: Run;
@group(0) @binding(1) var<storage, read> heads: array<u32>;
@group(0) @binding(2) var<storage, read> starts: array<u32>;
@group(0) @binding(3) var<storage, read_write> offsets: array<u32>;
@group(0) @binding(4) var<storage, read_write> lengths: array<u32>;

${LEVELS_RUN_WGSL}
${PREFIX_SUM_WGSL}
@compute @workgroup_size(${LEVELS_INVOCATIONS})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let first_chunk = run.first_group / run.chunk_groups;
  let chunk = first_chunk + workgroup.y * workgroups.x + workgroup.x;
  let first = chunk * run.chunk_groups;
  if (first >= run.end_group) {
    return;
  }
  let groups = min(run.chunk_groups, run.end_group - first);
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
