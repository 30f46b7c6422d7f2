import type { BufferRange } from "./buffer_range.ts";
import type { GpuDevice } from "./gpu_device.ts";

/** Ranges of one size, in different buffers or apart. */
export type RangeCopy = readonly [from: BufferRange, into: BufferRange];

/** Submits copies from one range of the GPU's memory to another. Empty ones are left out. */
export function copyRanges(gpu: GpuDevice, label: string, copies: readonly RangeCopy[]): void {
  const encoder = gpu.device.createCommandEncoder({ label });
  for (const [from, into] of copies) {
    if (into.size > 0) {
      encoder.copyBufferToBuffer(from.buffer, from.offset, into.buffer, into.offset, into.size);
    }
  }
  gpu.submit(encoder);
}
