import type { BufferRange } from "../../src/gpu/buffer_range.ts";
import { BufferUsage } from "../../src/gpu/constants.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";

/** A buffer with named tensors of f32 at multiples of 256 bytes, as a store has them. */
export class Slab {
  readonly buffer: GPUBuffer;
  readonly #gpu: GpuDevice;
  readonly #ranges = new Map<string, BufferRange>();

  constructor(gpu: GpuDevice, label: string, tensors: Readonly<Record<string, readonly number[]>>) {
    this.#gpu = gpu;
    let end = 0;
    const places = Object.entries(tensors).map(([name, elements]) => {
      const offset = end;
      end += Math.ceil(elements.length * 4 / 256) * 256;
      return { name, elements, offset };
    });
    this.buffer = gpu.createBuffer(
      label,
      end,
      BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST,
    );
    for (const { name, elements, offset } of places) {
      this.#ranges.set(name, { buffer: this.buffer, offset, size: elements.length * 4 });
      gpu.write(this.buffer, offset, new Uint8Array(Float32Array.from(elements).buffer));
    }
    gpu.submit([]);
  }

  /** Where the tensor `name` is. */
  range(name: string): BufferRange {
    const range = this.#ranges.get(name);
    if (range === undefined) throw new Error(`The slab has no "${name}"`);
    return range;
  }

  async read(name: string): Promise<number[]> {
    const [bytes] = await this.#gpu.read([this.range(name)]);
    return [...new Float32Array(bytes?.buffer ?? new ArrayBuffer(0))];
  }

  close(): void {
    this.#gpu.destroyBuffer(this.buffer);
  }
}
