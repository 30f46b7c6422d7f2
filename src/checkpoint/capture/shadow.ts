import type { BufferRange } from "../../gpu/buffer_range.ts";
import { BufferUsage } from "../../gpu/constants.ts";
import type { GpuDevice } from "../../gpu/gpu_device.ts";
import type { SlabRange } from "../../tensor/slab_ranges.ts";

/** A copy of a slab, in buffers that follow one another. */
export interface Shadow {
  readonly buffers: readonly GPUBuffer[];
}

/** A copy on the GPU. */
export interface Copy {
  readonly source: GPUBuffer;
  readonly sourceOffset: number;
  readonly target: BufferRange;
}

const BATCH_BYTES = 64 * 1024 * 1024;
/**
 * Of a shadow that the host can map: the size of its first buffer, which is soon copied, so that the disk has
 * something to do. The rest is one buffer: processors copy what is larger than their cache past it, a quarter faster
 * and without emptying it.
 */
const FIRST_BYTES = 8 * 1024 * 1024;
/** Of memory that is copied to and from. */
export const SHADOW_USAGE: number = BufferUsage.COPY_SRC | BufferUsage.COPY_DST;
/** Of memory that the GPU may encode before it is read back. */
const ENCODABLE_USAGE = SHADOW_USAGE | BufferUsage.STORAGE;

/**
 * On a software adapter the GPU's memory is the host's: there the host can map the shadow, buffer by buffer, and
 * nothing is copied a second time. On another one memory that can be mapped is on the wrong side of the bus.
 */
export function allocateShadow(gpu: GpuDevice, slab: GPUBuffer): Shadow {
  const usage = gpu.isCpuAdapter ? BufferUsage.MAP_READ | BufferUsage.COPY_DST : ENCODABLE_USAGE;
  const sizes = gpu.isCpuAdapter && slab.size > 2 * FIRST_BYTES
    ? [FIRST_BYTES, slab.size - FIRST_BYTES]
    : [slab.size];
  const buffers = sizes.map((size, index) =>
    gpu.createBuffer(`shadow ${index} of ${slab.label}`, size, usage)
  );
  return { buffers };
}

/** What has to be copied for a range, buffer by buffer. */
export function copiesOf(range: Omit<SlabRange, "slab">, { buffers }: Shadow): Copy[] {
  const copies: Copy[] = [];
  const end = range.offset + range.byteLength;
  let start = 0;
  for (const buffer of buffers) {
    const from = Math.max(range.offset, start);
    const size = Math.min(end, start + buffer.size) - from;
    if (size > 0) {
      copies.push({
        source: range.buffer,
        sourceOffset: from,
        target: { buffer, offset: from - start, size },
      });
    }
    start += buffer.size;
  }
  return copies;
}

/**
 * Submits in batches, of which the first is small, so that of a large state the first tensors can be read while the
 * GPU is at the next ones. Not in Deno, where a submit waits for the one before, and a read for all of them.
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
  let enough = batchBytes === Infinity ? Infinity : FIRST_BYTES;
  for (const copy of copies) {
    batch.push(copy);
    bytes += copy.target.size;
    if (bytes < enough) continue;
    yield batch;
    batch = [];
    bytes = 0;
    enough = batchBytes;
  }
  if (batch.length > 0) yield batch;
}
