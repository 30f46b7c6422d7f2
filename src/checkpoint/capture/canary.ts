import type { GpuDevice } from "../../gpu/gpu_device.ts";
import { type Copy, SHADOW_USAGE } from "./shadow.ts";

const CANARY_WORDS = 64;
/** Bytes of a pattern. */
export const CANARY_BYTES: number = CANARY_WORDS * 4;

/**
 * A pattern that differs with every copy of a store and travels with the tensors: read-backs that give zeros or old
 * bytes, which a dying device may do without an error, are found by it.
 */
export class Canary {
  #buffers: { readonly source: GPUBuffer; readonly shadow: GPUBuffer } | undefined;
  #patterns = 0;

  /** A pattern that was not there before. */
  nextPattern(): Uint8Array {
    const words = new Uint32Array(CANARY_WORDS);
    for (let index = 0; index < CANARY_WORDS; index++) {
      words[index] = Math.imul(this.#patterns * CANARY_WORDS + index + 1, 0x9e3779b1);
    }
    this.#patterns++;
    return new Uint8Array(words.buffer);
  }

  /** Writes a pattern to the GPU, and says how it is copied there. The buffers are made at the first time, and kept. */
  copy(gpu: GpuDevice, pattern: Uint8Array): Copy {
    const { source, shadow } = this.#buffers ??= {
      source: gpu.createBuffer("canary", CANARY_BYTES, SHADOW_USAGE),
      shadow: gpu.createBuffer("shadow of canary", CANARY_BYTES, SHADOW_USAGE),
    };
    gpu.write(source, 0, pattern);
    return { source, sourceOffset: 0, target: { buffer: shadow, offset: 0, size: CANARY_BYTES } };
  }

  /** Frees the buffers; the next copy makes new ones. */
  free(gpu: GpuDevice): void {
    if (this.#buffers === undefined) return;
    gpu.destroyBuffer(this.#buffers.source);
    gpu.destroyBuffer(this.#buffers.shadow);
    this.#buffers = undefined;
  }
}
