import type { BufferRange } from "./buffer_range.ts";

/**
 * One compute dispatch as plain values: what a kernel launcher returns and what an executor encodes.
 *
 * `B` is whatever the caller uses to name memory. `bindings[i]` belongs to `@group(0) @binding(i)`; the entry point
 * is `main`. A binding that the kernel writes may not be bound to it a second time (WebGPU forbids it).
 */
export interface Dispatch<B = BufferRange> {
  /** Stands in messages and in the labels of GPU objects. */
  readonly label: string;
  /** WGSL source. Together with `constants` it identifies the pipeline. */
  readonly code: string;
  /** Values of the source's `override` declarations; finite numbers only. */
  readonly constants: Readonly<Record<string, number>>;
  /** Memory of binding 0, 1, 2 … of group 0. */
  readonly bindings: readonly B[];
  /** Workgroup counts. `[0, 0, 0]` when there is no element to compute: executors skip such a dispatch. */
  readonly workgroups: readonly [number, number, number];
}

/** Workgroup counts per dimension that every WebGPU adapter accepts. */
export const MAX_WORKGROUPS_PER_DIMENSION = 65_535;

/**
 * The grid for `workgroupCount` workgroups: along x while they fit, spread evenly over x and y otherwise.
 * Kernels number their workgroups with `y * (count of x) + x` and check bounds, since the grid may be a little larger.
 * Throws `RangeError` when even a full grid is too small.
 */
export function gridFor(workgroupCount: number): [number, number, number] {
  if (!Number.isSafeInteger(workgroupCount) || workgroupCount < 0) {
    throw new RangeError(`A grid has a whole number of workgroups, not ${workgroupCount}`);
  }
  if (workgroupCount === 0) return [0, 0, 0];
  const rows = Math.ceil(workgroupCount / MAX_WORKGROUPS_PER_DIMENSION);
  if (rows > MAX_WORKGROUPS_PER_DIMENSION) {
    throw new RangeError(`${workgroupCount} workgroups do not fit a grid of 65535 x 65535`);
  }
  return [Math.ceil(workgroupCount / rows), rows, 1];
}

/** Invocations in a workgroup of the kernels that give one invocation to each element. */
export const WORKGROUP_SIZE = 64;

/** The grid of such a kernel: at least one invocation for each of `count` elements, none for 0. */
export function linearGrid(count: number): [number, number, number] {
  return gridFor(Math.ceil(count / WORKGROUP_SIZE));
}

/**
 * The head of such a kernel's entry point: it leaves `index`, the number of this invocation in the grid. `count` says
 * in WGSL how many elements there are, and invocations beyond it return.
 */
export function linearMainWgsl(count: string): string {
  return `@compute @workgroup_size(${WORKGROUP_SIZE})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = (workgroup.y * workgroups.x + workgroup.x) * ${WORKGROUP_SIZE}u + local;
  if (index >= ${count}) {
    return;
  }`;
}

/** The same for kernels with an `override count`. */
export const LINEAR_MAIN_WGSL: string = linearMainWgsl("count");

/**
 * The head of the entry point of a kernel that gives a workgroup to each piece of work: it leaves the number of this
 * workgroup in the grid, under the name `number`, and `local`, the number of this invocation in its workgroup. Those
 * beyond the last piece of work have to return.
 */
export function workgroupMainWgsl(invocations: number, number: string): string {
  return `@compute @workgroup_size(${invocations})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let ${number} = workgroup.y * workgroups.x + workgroup.x;`;
}
