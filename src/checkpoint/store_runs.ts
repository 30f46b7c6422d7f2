import { TENSOR_ALIGNMENT } from "../base/checked.ts";
import type { TensorSpec } from "../container/format/layout.ts";
import type { StoredTensor } from "../tensor/tensor_group.ts";
import type { TensorStore } from "../tensor/tensor_store.ts";

/** A part of a slab that is saved, with the padding behind each tensor. */
export interface Run {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly byteLength: number;
}

/**
 * The tensors of a store without the excluded ones and those that are tied to them, in the order of the file.
 *
 * @throws TypeError for a name that is not in the store.
 */
export function includedTensors(store: TensorStore, excluded: ReadonlySet<string>): StoredTensor[] {
  // A name that is spelled wrong would save what was meant to stay out.
  for (const name of excluded) store.tensor(name);
  const isOut = (tensor: StoredTensor): boolean =>
    excluded.has(tensor.name) || (tensor.aliasOf !== undefined && excluded.has(tensor.aliasOf));
  return store.groups().flatMap((group) => group.tensors.filter((tensor) => !isOut(tensor)));
}

/** Memory of the tensors in their order: one run for a slab of which nothing is left out. */
export function runsOf(tensors: readonly StoredTensor[]): Run[] {
  const runs: { -readonly [Key in keyof Run]: Run[Key] }[] = [];
  for (const { range, offset, byteLength, aliasOf } of tensors) {
    if (aliasOf !== undefined || byteLength === 0) continue;
    const end = offset + Math.ceil(byteLength / TENSOR_ALIGNMENT) * TENSOR_ALIGNMENT;
    const last = runs.at(-1);
    if (last?.buffer === range.buffer && last.offset + last.byteLength === offset) {
      last.byteLength = end - last.offset;
    } else {
      runs.push({ buffer: range.buffer, offset, byteLength: end - offset });
    }
  }
  return runs;
}

/** A tensor as the file's tables have it. */
export function specOf({ name, dtype, shape, aliasOf }: StoredTensor): TensorSpec {
  return aliasOf === undefined ? { name, dtype, shape } : { name, dtype, shape, aliasOf };
}

/** The slabs that the runs are in. */
export function slabsOf(runs: readonly Run[]): Set<GPUBuffer> {
  return new Set(runs.map(({ buffer }) => buffer));
}

/** Bytes of all runs together. */
export function byteLengthOf(runs: readonly Run[]): number {
  return runs.reduce((sum, { byteLength }) => sum + byteLength, 0);
}
