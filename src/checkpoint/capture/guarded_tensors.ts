import { alignUp } from "../../base/checked.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import type { GpuDevice } from "../../gpu/gpu_device.ts";
import type { TensorStore } from "../../tensor/tensor_store.ts";
import { type Copy, SHADOW_USAGE } from "./shadow.ts";

/**
 * Copies of the guarded tensors of a store: its guards see the same moment as the save, even if the tensors
 * themselves are encoded or left out.
 */
export class GuardedTensors {
  #shadow: GPUBuffer | undefined;

  /** How the tensors are copied. The buffer is made at the first time, and kept while it is large enough. */
  copies(store: TensorStore): Copy[] {
    const { gpu } = store;
    const ranges = [...store.guards.keys()].map((name) => store.tensor(name).range);
    const byteLength = guardedBytes(store);
    if (byteLength === 0) return [];
    if (this.#shadow !== undefined && this.#shadow.size < byteLength) this.free(gpu);
    const buffer = this.#shadow ??= gpu.createBuffer("shadow of guarded tensors", byteLength, SHADOW_USAGE);
    let offset = 0;
    return ranges.map((range): Copy => {
      const target: BufferRange = { buffer, offset, size: alignUp(range.size, 4) };
      offset += target.size;
      return { source: range.buffer, sourceOffset: range.offset, target };
    });
  }

  /** Frees the buffer; the next copy makes a new one. */
  free(gpu: GpuDevice): void {
    if (this.#shadow !== undefined) gpu.destroyBuffer(this.#shadow);
    this.#shadow = undefined;
  }
}

/** Bytes of the copies of a store's guarded tensors. */
export function guardedBytes(store: TensorStore): number {
  return [...store.guards.keys()].reduce((sum, name) => sum + alignUp(store.tensor(name).byteLength, 4), 0);
}

/** Throws what a guard of the store throws, shown the `bytes` of the copies. */
export function askGuards(store: TensorStore, bytes: Uint8Array): void {
  let offset = 0;
  for (const [name, guard] of store.guards) {
    const { byteLength } = store.tensor(name);
    guard(bytes.subarray(offset, offset + byteLength));
    offset += alignUp(byteLength, 4);
  }
}
