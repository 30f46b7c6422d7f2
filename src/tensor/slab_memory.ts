import { TENSOR_ALIGNMENT } from "../base/checked.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import { largestSlab } from "./slab_layout.ts";
import { TensorGroup } from "./tensor_group.ts";

const DEFAULT_SLAB_BYTES = 128 * 1024 * 1024;

/** The same groups with the same tensors on another device, or an error and nothing allocated. */
export async function allocateAgain(
  gpu: GpuDevice,
  groups: readonly TensorGroup[],
  slabBytes: number,
): Promise<TensorGroup[]> {
  const allocated: TensorGroup[] = [];
  try {
    await gpu.validated("The tensor store", () => {
      for (const group of groups) {
        allocated.push(TensorGroup.allocate(gpu, group.name, group.specs(), slabBytes));
      }
    });
    return allocated;
  } catch (error) {
    freeSlabs(gpu, allocated);
    throw error;
  }
}

/** Frees the memory of `groups`. */
export function freeSlabs(gpu: GpuDevice, groups: readonly TensorGroup[]): void {
  for (const group of groups) for (const { buffer } of group.slabs) gpu.destroyBuffer(buffer);
}

/** What slabs have at most, of `wanted` bytes if that is given. Throws `RangeError` for what no slab can have. */
export function slabBytesFor(gpu: GpuDevice, wanted: number | undefined): number {
  const limit = largestSlab(gpu);
  if (wanted === undefined) return Math.min(limit, DEFAULT_SLAB_BYTES);
  if (!Number.isSafeInteger(wanted) || wanted <= 0 || wanted % TENSOR_ALIGNMENT !== 0 || wanted > limit) {
    throw new RangeError(
      `slabBytes is ${wanted}, expected a multiple of ${TENSOR_ALIGNMENT} up to ${limit}, which is what the adapter binds`,
    );
  }
  return wanted;
}
