import type { BufferRange } from "../gpu/buffer_range.ts";
import { BufferUsage } from "../gpu/constants.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import type { Value } from "../graph/value.ts";
import type { DecodingCache, KeptRows, KeptState } from "../nn/decoding_cache.ts";
import { elementCount } from "../tensor/shape.ts";

/** What the last tokens of all rows are called among the parameters of a program. */
export const LAST_TOKENS = "last tokens";

/** Tokens of each row that are made before the host looks at them, at most. */
export const MOST_AHEAD = 8;

/** GPU memory for what a model keeps of the positions before: a buffer for each list of rows and each state. */
export class KeptMemory {
  readonly #gpu: GpuDevice;
  readonly #buffers = new Map<string, GPUBuffer>();
  readonly #states: GPUBuffer[] = [];
  readonly #tokenBytes: number;

  private constructor(gpu: GpuDevice, rows: number) {
    this.#gpu = gpu;
    this.#tokenBytes = 4 * rows;
  }

  /** Memory for all that `cache` was asked for, and for the tokens of so many rows. It is zeros. */
  static async allocate(gpu: GpuDevice, rows: number, cache: DecodingCache): Promise<KeptMemory> {
    const memory = new KeptMemory(gpu, rows);
    try {
      await gpu.validated("memory for a generation", () => {
        memory.#add(LAST_TOKENS, memory.#tokenBytes);
        memory.#add(MADE_TOKENS, MOST_AHEAD * memory.#tokenBytes);
        for (const { name, rows } of cache.rows) memory.#add(name, cache.room * rowBytes(rows));
        for (const { name, shape } of cache.states) {
          memory.#states.push(memory.#add(name, 4 * elementCount(shape)));
        }
      });
    } catch (error) {
      memory.close();
      throw error;
    }
    return memory;
  }

  /** Where what is called so is; `undefined` where there is no such. */
  rangeOf(name: string): BufferRange | undefined {
    const buffer = this.#buffers.get(name);
    return buffer && { buffer, offset: 0, size: buffer.size };
  }

  /** Where the `rows` of positions from `position` on are. */
  placeOf({ name, rows }: KeptRows, position: number): BufferRange {
    const { buffer } = this.#require(name);
    const bytes = rowBytes(rows);
    return { buffer, offset: position * bytes, size: (rows.shape[0] ?? 0) * bytes };
  }

  /** Where `state` is. */
  stateOf({ name }: KeptState): BufferRange {
    return this.#require(name);
  }

  /** Where the tokens of all rows go that are made from number `first` on, `count` of each row. */
  tokensFrom(first: number, count: number): BufferRange {
    const { buffer } = this.#require(MADE_TOKENS);
    return { buffer, offset: first * this.#tokenBytes, size: count * this.#tokenBytes };
  }

  /** Makes all states zeros again. Rows need not be: those that count are written first. */
  forget(): void {
    for (const buffer of this.#states) this.#gpu.write(buffer, 0, new Uint8Array(buffer.size));
  }

  /** Frees it. */
  close(): void {
    for (const buffer of this.#buffers.values()) this.#gpu.destroyBuffer(buffer);
    this.#buffers.clear();
  }

  #add(name: string, byteLength: number): GPUBuffer {
    const { STORAGE, COPY_DST, COPY_SRC } = BufferUsage;
    const buffer = this.#gpu.createBuffer(`generation ${name}`, byteLength, STORAGE | COPY_DST | COPY_SRC);
    this.#buffers.set(name, buffer);
    return buffer;
  }

  #require(name: string): BufferRange {
    const range = this.rangeOf(name);
    if (range === undefined) throw new RangeError(`There is no memory for "${name}" of a generation`);
    return range;
  }
}

const MADE_TOKENS = "made tokens";

/** Bytes of one position. */
function rowBytes({ shape }: Value): number {
  return 4 * elementCount(shape.slice(1));
}
