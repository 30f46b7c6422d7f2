import type { TensorSpec } from "../../container/format/layout.ts";
import type { SlabRange } from "../../tensor/slab_ranges.ts";
import type { StoredTensor } from "../../tensor/tensor_group.ts";
import type { TensorStore } from "../../tensor/tensor_store.ts";

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

/** The spec of a tensor of a store. */
export function specOf({ name, dtype, shape, aliasOf }: TensorSpec): TensorSpec {
  return { name, dtype, shape, aliasOf };
}

/** The slabs that the ranges are in. */
export function slabsOf(spans: readonly SlabRange[]): Set<GPUBuffer> {
  return new Set(spans.map(({ buffer }) => buffer));
}

/** Bytes of all ranges together. */
export function byteLengthOf(spans: readonly SlabRange[]): number {
  return spans.reduce((sum, { byteLength }) => sum + byteLength, 0);
}
