import { slabRanges } from "../../tensor/slab_ranges.ts";
import type { TensorStore } from "../../tensor/tensor_store.ts";
import { stageTensors } from "./staged_tensors.ts";

/**
 * Runs `work`, which writes tensors of a group. When it fails, they are what they were before, unless the device is
 * lost.
 */
export async function withRollback(
  store: TensorStore,
  group: string,
  work: () => void | Promise<void>,
): Promise<void> {
  const targets = slabRanges(store.group(group).tensors)
    .map(({ buffer, offset, byteLength }) => ({ buffer, offset, size: byteLength }));
  const before = await stageTensors(store.gpu, targets);
  try {
    await before.remember();
    await before.ready();
    try {
      await work();
    } catch (error) {
      if (!store.gpu.isLost) await before.apply();
      throw error;
    }
  } finally {
    before.free();
  }
}
