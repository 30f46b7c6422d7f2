import type { BufferRange } from "../../gpu/buffer_range.ts";
import { BufferUsage } from "../../gpu/constants.ts";
import type { GpuDevice } from "../../gpu/gpu_device.ts";
import type { SlabRange } from "../../tensor/slab_ranges.ts";

/** A copy of a slab in buffers of `bufferBytes`, but for the last. */
export interface Shadow {
  readonly buffers: readonly GPUBuffer[];
  readonly bufferBytes: number;
}

/** A copy on the GPU. */
export interface Copy {
  readonly source: GPUBuffer;
  readonly sourceOffset: number;
  readonly target: BufferRange;
}

const BATCH_BYTES = 64 * 1024 * 1024;
/** Of a shadow that the host can map: what is mapped at once, which in Deno is one more copy on the host. */
const MAPPABLE_BYTES = 8 * 1024 * 1024;
/** Of memory that is copied to and from. */
export const SHADOW_USAGE: number = BufferUsage.COPY_SRC | BufferUsage.COPY_DST;
/** Of memory that the GPU may encode before it is read back. */
const ENCODABLE_USAGE = SHADOW_USAGE | BufferUsage.STORAGE;

/**
 * On a software adapter the GPU's memory is the host's: there the host can map the shadow, buffer by buffer, and
 * nothing is copied a second time. On another one memory that can be mapped is on the wrong side of the bus.
 */
export function allocateShadow(gpu: GpuDevice, slab: GPUBuffer): Shadow {
  const bufferBytes = gpu.isCpuAdapter ? MAPPABLE_BYTES : slab.size;
  const usage = gpu.isCpuAdapter ? BufferUsage.MAP_READ | BufferUsage.COPY_DST : ENCODABLE_USAGE;
  const buffers = Array.from({ length: Math.ceil(slab.size / bufferBytes) }, (_, index) => {
    const size = Math.min(bufferBytes, slab.size - index * bufferBytes);
    return gpu.createBuffer(`shadow ${index} of ${slab.label}`, size, usage);
  });
  return { buffers, bufferBytes };
}

/** What has to be copied for a range, buffer by buffer. */
export function copiesOf(range: Omit<SlabRange, "slab">, { buffers, bufferBytes }: Shadow): Copy[] {
  const copies: Copy[] = [];
  const end = range.offset + range.byteLength;
  for (let at = range.offset; at < end;) {
    const index = Math.floor(at / bufferBytes);
    const buffer = buffers[index] as GPUBuffer;
    const offset = at - index * bufferBytes;
    const size = Math.min(end - at, buffer.size - offset);
    copies.push({ source: range.buffer, sourceOffset: at, target: { buffer, offset, size } });
    at += size;
  }
  return copies;
}

/**
 * Submits in batches, so that of a large state the first tensors can be read while the GPU is at the next ones. Not
 * in Deno, where a submit waits for the one before, and a read for all of them.
 */
export function submitCopies(gpu: GpuDevice, copies: readonly Copy[]): void {
  for (const batch of batchesOf(copies, gpu.hasBlockingFences ? Infinity : BATCH_BYTES)) {
    const encoder = gpu.device.createCommandEncoder({ label: "snapshot" });
    for (const { source, sourceOffset, target: { buffer, offset, size } } of batch) {
      encoder.copyBufferToBuffer(source, sourceOffset, buffer, offset, size);
    }
    gpu.submit(encoder, batch.map(({ target }) => target.buffer));
  }
}

function* batchesOf(copies: readonly Copy[], batchBytes: number): Generator<Copy[]> {
  let batch: Copy[] = [];
  let bytes = 0;
  for (const copy of copies) {
    batch.push(copy);
    bytes += copy.target.size;
    if (bytes < batchBytes) continue;
    yield batch;
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield batch;
}
