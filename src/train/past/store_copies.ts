import { CairnError } from "../../base/errors.ts";
import { BufferUsage } from "../../gpu/constants.ts";
import type { GpuDevice } from "../../gpu/gpu_device.ts";
import type { Slab } from "../../tensor/tensor_group.ts";
import type { TensorStore } from "../../tensor/tensor_store.ts";

/** Copies of all tensors of a store, in GPU memory of their own: as many times the bytes of the store. */
export class StoreCopies {
  readonly #store: TensorStore;
  readonly #gpu: GpuDevice;
  readonly #slabs: readonly Slab[];
  /** Of each copy, a buffer for each slab. */
  readonly #copies: readonly (readonly GPUBuffer[])[];

  private constructor(store: TensorStore, slabs: readonly Slab[], copies: readonly (readonly GPUBuffer[])[]) {
    this.#store = store;
    this.#gpu = store.gpu;
    this.#slabs = slabs;
    this.#copies = copies;
  }

  /**
   * Memory for `count` copies of the store as it is now, at once.
   *
   * @param what Asks for them, for the message.
   * @throws CairnError `out_of_memory` with the sum; then nothing is left allocated.
   */
  static async allocate(store: TensorStore, count: number, what: string): Promise<StoreCopies> {
    const { gpu } = store;
    const slabs = slabsOf(store);
    gpu.requireRoom(what, { "copies of the store": count * store.stats().bytes });
    const made: GPUBuffer[][] = [];
    try {
      await gpu.validated("copies of the store", () => {
        for (let copy = 0; copy < count; copy++) {
          const buffers: GPUBuffer[] = [];
          made.push(buffers);
          for (const { buffer, byteLength } of slabs) {
            const usage = BufferUsage.COPY_SRC | BufferUsage.COPY_DST;
            buffers.push(gpu.createBuffer(`copy ${copy} of ${buffer.label}`, byteLength, usage));
          }
        }
      });
    } catch (error) {
      for (const buffer of made.flat()) gpu.destroyBuffer(buffer);
      if (error instanceof CairnError && error.code === "out_of_memory") {
        throw noRoom(store, count, what, error);
      }
      throw error;
    }
    return new StoreCopies(store, slabs, made);
  }

  /** Whether the store still has the memory that is copied: it may be on another device by now. */
  get isCurrent(): boolean {
    const slabs = slabsOf(this.#store);
    return this.#store.gpu === this.#gpu && slabs.length === this.#slabs.length &&
      slabs.every(({ buffer }, index) => buffer === this.#slabs[index]?.buffer);
  }

  /** Submits the copy of the store as it is behind all that was submitted before. */
  take(copy: number): void {
    const encoder = this.#gpu.device.createCommandEncoder({ label: "state kept" });
    const targets = this.#copies[copy] ?? [];
    for (const [index, { buffer, byteLength }] of this.#slabs.entries()) {
      const target = targets[index];
      if (target !== undefined) encoder.copyBufferToBuffer(buffer, 0, target, 0, byteLength);
    }
    this.#gpu.submit(encoder, targets);
  }

  /** Submits the way back. */
  putBack(copy: number): void {
    const encoder = this.#gpu.device.createCommandEncoder({ label: "state put back" });
    for (const [index, { buffer, byteLength }] of this.#slabs.entries()) {
      const source = this.#copies[copy]?.[index];
      if (source !== undefined) encoder.copyBufferToBuffer(source, 0, buffer, 0, byteLength);
    }
    this.#gpu.submit(encoder, this.#slabs.map(({ buffer }) => buffer));
  }

  /** Frees the memory. Safe to call twice. */
  close(): void {
    for (const buffer of this.#copies.flat()) this.#gpu.destroyBuffer(buffer);
  }
}

/** Those that hold anything. */
function slabsOf(store: TensorStore): Slab[] {
  return store.groups().flatMap(({ slabs }) => slabs).filter(({ byteLength }) => byteLength > 0);
}

function noRoom(store: TensorStore, count: number, what: string, cause: CairnError): CairnError {
  const { bytes } = store.stats();
  return new CairnError(
    "out_of_memory",
    `${what} needs ${count * bytes} bytes on the GPU, ${count} ${count === 1 ? "copy" : "copies"} of the ` +
      `${bytes} bytes of the store beside it, and "${store.gpu.adapterName}" has no room for that; ` +
      "keep fewer states, or make the model smaller",
    { details: { value: count * bytes }, cause },
  );
}
