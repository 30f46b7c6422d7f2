import type { Dispatch } from "../../gpu/dispatch.ts";
import { CELLS } from "./cells.ts";
import { type RecurrentBlocks, type RecurrentSizes } from "./recurrent_sizes.ts";

/** Invocations of a workgroup. */
const INVOCATIONS = 8;

/**
 * The recurrent weights `[gates * hidden, hidden]` in blocks `[gate][block of k][block of units][step of k][unit]`.
 * `forward`: k is the state before, units are those of the gate. `backward`: k is a unit of the gate, units are those
 * of the state before. Beyond the edge a block repeats the last ones, which are never used.
 */
export function packRecurrentWeights<B>(
  bindings: { readonly weights: B; readonly out: B },
  { cell, hidden }: RecurrentSizes,
  blocks: RecurrentBlocks,
  pass: "forward" | "backward",
): Dispatch<B> {
  const { depth, depthBlocks, units, unitBlocks } = blocks;
  const { gates } = CELLS[cell];
  return {
    label: `pack ${gates} recurrent weights of ${hidden}x${hidden}, ${pass}`,
    code: packWgsl(pass),
    constants: { hidden, depth, units, unit_blocks: unitBlocks },
    bindings: [bindings.weights, bindings.out],
    workgroups: [Math.ceil(units / 4 / INVOCATIONS), gates, depthBlocks * unitBlocks],
  };
}

/** A workgroup has a block and some of its units, an invocation four neighbours of them. */
function packWgsl(pass: "forward" | "backward"): string {
  const [row, column] = pass === "forward" ? ["unit(i)", "step"] : ["step", "unit(i)"];
  const load = (i: number) =>
    `weights[(gate + ${row.replace("(i)", `_${i}`)}) * hidden + ${column.replace("(i)", `_${i}`)}]`;
  return `override hidden: u32;
override depth: u32;
override units: u32;
override unit_blocks: u32;

@group(0) @binding(0) var<storage, read> weights: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(${INVOCATIONS})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let vectors = units / 4u;
  let vector = workgroup.x * ${INVOCATIONS}u + local;
  if (vector >= vectors) {
    return;
  }
  let gate = workgroup.y * hidden;
  let first_step = workgroup.z / unit_blocks * depth;
  let first_unit = workgroup.z % unit_blocks * units + vector * 4u;
  let unit_0 = min(first_unit, hidden - 1u);
  let unit_1 = min(first_unit + 1u, hidden - 1u);
  let unit_2 = min(first_unit + 2u, hidden - 1u);
  let unit_3 = min(first_unit + 3u, hidden - 1u);
  var place = (workgroup.y * workgroups.z + workgroup.z) * depth * vectors + vector;
  for (var p = 0u; p < depth; p++) {
    let step = min(first_step + p, hidden - 1u);
    out[place] = vec4<f32>(
      ${[0, 1, 2, 3].map(load).join(",\n      ")},
    );
    place += vectors;
  }
}
`;
}
