import type { DType } from "../../base/dtype.ts";
import { BufferUsage } from "../../gpu/constants.ts";
import type { GpuDevice } from "../../gpu/gpu_device.ts";
import type { OutputCopy } from "../../graph/executable.ts";
import type { Totals } from "../../nn/metrics/metric.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";

/** A value that is counted of each batch. */
export interface CountedValue {
  readonly metric: string;
  readonly part: string;
  /** f32, u32 or i32. */
  readonly dtype: DType;
  readonly length: number;
}

/** Batches between two reads: at most this many, and as many as fit. */
const MOST_ROWS = 64;
const MOST_BYTES = 16 * 1024 * 1024;

/** What was counted of the batches since the last read, a row each, on the GPU. */
export class CountRows {
  readonly #gpu: GpuDevice;
  readonly #values: readonly CountedValue[];
  readonly #rowBytes: number;
  readonly #capacity: number;
  readonly #buffer: GPUBuffer;
  #count = 0;

  constructor(gpu: GpuDevice, values: readonly CountedValue[]) {
    this.#gpu = gpu;
    this.#values = values;
    this.#rowBytes = values.reduce((sum, { length }) => sum + 4 * length, 0);
    this.#capacity = Math.max(1, Math.min(MOST_ROWS, Math.floor(MOST_BYTES / Math.max(1, this.#rowBytes))));
    this.#buffer = gpu.createBuffer(
      "what an evaluation counted",
      Math.max(4, this.#rowBytes * this.#capacity),
      BufferUsage.COPY_SRC | BufferUsage.COPY_DST,
    );
  }

  /** Whether it has to be read before the next batch. */
  get isFull(): boolean {
    return this.#count === this.#capacity;
  }

  /** Takes a row: the copies that fill it. */
  nextRow(): OutputCopy[] {
    let offset = this.#rowBytes * this.#count;
    this.#count += 1;
    return this.#values.map(({ metric, part, length }) => {
      const into = { buffer: this.#buffer, offset, size: 4 * length };
      offset += into.size;
      return { output: outputName(metric, part), into };
    });
  }

  /** What was counted of each batch, in their order, by the name of the metric. Begins anew. */
  async read(): Promise<Map<string, Totals>[]> {
    const count = this.#count;
    this.#count = 0;
    const [bytes] = await this.#gpu.read([
      { buffer: this.#buffer, offset: 0, size: Math.max(4, this.#rowBytes * count) },
    ]);
    if (bytes === undefined) throw new RangeError("Nothing was read of what an evaluation counted");
    return Array.from({ length: count }, (_, row) => this.#rowOf(bytes, row));
  }

  /** Forgets what was not read. */
  clear(): void {
    this.#count = 0;
  }

  close(): void {
    this.#gpu.destroyBuffer(this.#buffer);
  }

  #rowOf(bytes: Uint8Array, row: number): Map<string, Totals> {
    let offset = this.#rowBytes * row;
    const counted = new Map<string, Record<string, Float64Array>>();
    for (const { metric, part, dtype, length } of this.#values) {
      const elements = HostTensor.fromBytes(bytes.slice(offset, offset + 4 * length), dtype, [length]);
      const parts = counted.get(metric) ?? {};
      parts[part] = Float64Array.from(elements.toArray() as Float32Array);
      counted.set(metric, parts);
      offset += 4 * length;
    }
    return counted;
  }
}

/** What a part of a metric is called among the outputs of a program. */
export function outputName(metric: string, part: string): string {
  return `${metric}/${part}`;
}
