import { alignUp } from "../base/checked.ts";
import type { DType } from "../base/dtype.ts";
import { type ItemBits, itemBitsOf } from "../base/item_bits.ts";
import type { BufferRange } from "../gpu/buffer_range.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import { crc32, crc32Blocks, crc32Sums, crc32Tables, encodeCrc32Run } from "./crc32.ts";
import { KeptBuffers } from "./kept_buffers.ts";
import { levelsDecode } from "./levels_decode.ts";
import { levelsPlace } from "./levels_place.ts";
import { encodeLevelsRun, levelsCounts, type LevelsRun } from "./levels_run.ts";
import { submitDispatches } from "./submit_dispatches.ts";

/** Where decoded chunks go. */
export interface LevelsTarget {
  /** Room for all raw bytes, in a buffer with the usage `STORAGE` and `COPY_SRC`, at a multiple of 256. */
  readonly range: BufferRange;
  readonly dtype: DType;
  /** Raw bytes of each chunk but the last: a multiple of 256. */
  readonly chunkBytes: number;
}

/** Decodes chunks of the codec `levels` on the GPU, so that only encoded bytes are uploaded. */
export class LevelsDecoder {
  readonly #gpu: GpuDevice;
  readonly #buffers: KeptBuffers;

  constructor(gpu: GpuDevice) {
    this.#gpu = gpu;
    this.#buffers = new KeptBuffers(gpu);
  }

  /**
   * Uploads stored chunks, which must have passed their checksums, and decodes them one after the other into the
   * target, which has exactly room for them. Keeps as much GPU memory as they take.
   *
   * @returns The CRC-32 of each chunk's raw bytes as they are on the GPU now, for the caller to compare: the kernel
   * trusts what is stored, and damage that a checksum missed gives wrong bytes.
   * @throws RangeError when the chunks are not as many as the target has; CairnError `device_lost`, `out_of_memory`,
   * `gpu_validation`.
   */
  async decode(chunks: readonly Uint8Array[], { range, dtype, chunkBytes }: LevelsTarget): Promise<number[]> {
    const items = itemBitsOf(dtype);
    const run = { byteLength: range.size, chunkBytes };
    const counts = levelsCounts(run, items);
    if (chunks.length !== counts.chunks) {
      throw new RangeError(`${chunks.length} chunks came for ${range.size} bytes, expected ${counts.chunks}`);
    }
    try {
      const bound = await this.#gpu.validated("levels buffers", () => this.#buffersFor(chunks, run, items));
      await submitDispatches(this.#gpu, "decode levels", [
        levelsPlace({ ...bound, heads: bound.stored }, counts),
        levelsDecode({ ...bound, raw: range }, counts),
        crc32({ ...bound, run: bound.crc32Run, source: range }, run),
      ], [bound.offsets, bound.lengths, range, bound.parts].map(({ buffer }) => buffer));
      const [parts = new Uint8Array()] = await this.#gpu.read([bound.parts]);
      return crc32Sums(new Uint32Array(parts.buffer, 0, parts.byteLength / 4), run);
    } catch (error) {
      // Buffers that were not allocated stay invalid for ever; the next chunks have to try anew.
      this.close();
      throw error;
    }
  }

  /** Frees its GPU memory. Safe to call twice. */
  close(): void {
    this.#buffers.close();
  }

  /** Uploads the chunks, and makes room for what the kernels need besides. */
  #buffersFor(chunks: readonly Uint8Array[], run: LevelsRun, items: ItemBits): Bound {
    const counts = levelsCounts(run, items);
    const buffers = this.#buffers;
    const places: number[] = [];
    let end = 0;
    for (const { byteLength } of chunks) {
      places.push(end / 4);
      end += alignUp(byteLength, 4);
    }
    const stored = buffers.take("levels stored", end);
    for (const [index, chunk] of chunks.entries()) {
      this.#gpu.write(stored.buffer, 4 * (places[index] as number), chunk);
    }
    return {
      stored,
      places: buffers.put("levels places", Uint32Array.from(places)),
      starts: buffers.put("levels starts", Uint32Array.from(places, (place) => place + 1)),
      run: buffers.put("levels run", encodeLevelsRun(run, items)),
      offsets: buffers.take("levels offsets", 4 * counts.groups),
      lengths: buffers.take("levels lengths", 4 * counts.chunks),
      crc32Run: buffers.put("crc32 run", encodeCrc32Run(run)),
      tables: buffers.put("crc32 tables", crc32Tables()),
      parts: buffers.take("crc32 parts", 4 * crc32Blocks(run)),
    };
  }
}

type Bound = Readonly<
  Record<
    "stored" | "places" | "starts" | "run" | "offsets" | "lengths" | "crc32Run" | "tables" | "parts",
    BufferRange
  >
>;
