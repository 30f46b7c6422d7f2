import type { BufferRange } from "../gpu/buffer_range.ts";
import { BufferUsage } from "../gpu/constants.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";

/** Buffers of a few names that are reused, and made anew when they have to be larger. */
export class KeptBuffers {
  readonly #gpu: GpuDevice;
  readonly #buffers = new Map<string, GPUBuffer>();

  constructor(gpu: GpuDevice) {
    this.#gpu = gpu;
  }

  /** The first `size` bytes of the buffer of that name. What was in it may be gone. */
  take(name: string, size: number): BufferRange {
    const kept = this.#buffers.get(name);
    if (kept !== undefined && kept.size >= size) return { buffer: kept, offset: 0, size };
    if (kept !== undefined) this.#gpu.destroyBuffer(kept);
    const { STORAGE, UNIFORM, COPY_SRC, COPY_DST } = BufferUsage;
    const buffer = this.#gpu.createBuffer(name, size, STORAGE | UNIFORM | COPY_SRC | COPY_DST);
    this.#buffers.set(name, buffer);
    return { buffer, offset: 0, size };
  }

  /** As {@link take}, with these words in it. */
  put(name: string, words: Uint32Array): BufferRange {
    const range = this.take(name, words.byteLength);
    this.#gpu.write(range.buffer, 0, new Uint8Array(words.buffer, words.byteOffset, words.byteLength));
    return range;
  }

  /** Frees all of them. */
  close(): void {
    for (const buffer of this.#buffers.values()) this.#gpu.destroyBuffer(buffer);
    this.#buffers.clear();
  }
}
