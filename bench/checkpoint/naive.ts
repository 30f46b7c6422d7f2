import { BufferUsage, MapMode } from "../../src/gpu/constants.ts";
import type { TensorStore } from "../../src/tensor/tensor_store.ts";
import { type BenchDisk, writeWhole } from "./disk.ts";

/**
 * A checkpoint as a first version would write it: each tensor through a fresh staging buffer and a wait of its own, all
 * of them joined in one array, written and synced.
 */
export async function saveNaively(store: TensorStore, path: string, disk: BenchDisk): Promise<void> {
  const { device } = store.gpu;
  const tensors: Uint8Array[] = [];
  for (const { range: { buffer, offset, size } } of store.tensors()) {
    const staging = device.createBuffer({ size, usage: BufferUsage.MAP_READ | BufferUsage.COPY_DST });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, offset, staging, 0, size);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(MapMode.READ);
    tensors.push(new Uint8Array(staging.getMappedRange()).slice());
    staging.unmap();
    staging.destroy();
  }
  const joined = new Uint8Array(tensors.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const tensor of tensors) {
    joined.set(tensor, at);
    at += tensor.byteLength;
  }
  await writeWhole(path, joined, disk);
}
