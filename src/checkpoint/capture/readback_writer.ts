import { TENSOR_ALIGNMENT } from "../../base/checked.ts";
import { crc32 } from "../../base/crc32/crc32.ts";
import { CairnError } from "../../base/errors.ts";
import { nextTurn } from "../../base/event_loop.ts";
import { DEFAULT_CHUNK_BYTES } from "../../container/format/chunk_plan.ts";
import type { ByteSink } from "../../container/source.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import type { GpuDevice } from "../../gpu/gpu_device.ts";
import { ReadbackRing } from "../../gpu/readback.ts";
import { LevelsEncoder, type LevelsSource } from "../../gpu_codec/levels_encoder.ts";
import type { GpuChunk } from "./checkpoint_source.ts";
import type { EncodingStep } from "./encoding_plan.ts";

/** Takes what is read back: raw bytes, and chunks that the GPU has encoded. */
export interface ReadbackSink extends ByteSink {
  writeEncoded(chunk: GpuChunk): Promise<void>;
}

const RING_SLOTS = 4;
/** Where each wait for the GPU takes 11 ms, more has to be waited for at once. */
const RING_SLOTS_OF_SLOW_FENCES = 12;
const RING_SLOT_BYTES = 4 * 1024 * 1024;
const HOST_PIECE_BYTES = DEFAULT_CHUNK_BYTES;

/**
 * Reads GPU memory back and writes it, encoded there or as it is. Keeps its staging memory, of at most 48 MiB, and
 * that of the encoder for the next time.
 */
export class ReadbackWriter {
  readonly #gpu: GpuDevice;
  #ring: ReadbackRing | undefined;
  #encoder: LevelsEncoder | undefined;

  constructor(gpu: GpuDevice) {
    this.#gpu = gpu;
  }

  /**
   * Does the steps in their order.
   *
   * @throws CairnError `device_lost`, also where that is why something else failed; what else the GPU or `sink` says.
   */
  async write(steps: readonly EncodingStep[], sink: ReadbackSink, signal?: AbortSignal): Promise<void> {
    const ring = this.#ringFor(steps);
    try {
      for (const { source, ranges } of steps) {
        if (source === undefined) await this.#writeRaw(ring, ranges, sink, signal);
        else await this.#writeEncoded(ring, source, sink, signal);
      }
    } catch (error) {
      // Each runtime has errors of its own for a lost device, some before its flag is up.
      await nextTurn();
      this.#gpu.assertAlive();
      throw error;
    }
  }

  /** Frees its GPU memory. Safe to call twice. */
  close(): void {
    this.#ring?.close();
    this.#ring = undefined;
    this.#encoder?.close();
    this.#encoder = undefined;
  }

  /**
   * Writes the ranges from memory of our own: when a device is lost, mapped memory goes away, in the middle of a
   * write. It is of the size of a chunk, so that it stays in the processor's cache until it is summed up and on its
   * way to the disk. Where what is mapped is a copy already, that is written.
   */
  async #writeRaw(
    ring: ReadbackRing,
    ranges: readonly BufferRange[],
    sink: ByteSink,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const host = new Uint8Array(Math.min(HOST_PIECE_BYTES, ring.slotBytes));
    const isCopy = this.#gpu.hasBlockingFences && this.#gpu.provider === "native";
    for await (const mapped of ring.stream(ranges, { signal })) {
      // Of memory that went away the length is 0.
      const { byteLength } = mapped;
      for (let at = 0; at < byteLength; at += host.byteLength) {
        const part = mapped.subarray(at, at + host.byteLength);
        const piece = isCopy ? part : host.subarray(0, part.byteLength);
        if (piece !== part) piece.set(part);
        await sink.write(piece);
        this.#gpu.assertAlive();
      }
    }
  }

  /** Writes the chunks of a source; from where the GPU has no memory to encode them, as they are. */
  async #writeEncoded(
    ring: ReadbackRing,
    source: LevelsSource,
    sink: ReadbackSink,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { buffer, offset, size } = source.range;
    let encoded = 0;
    let written = 0;
    try {
      this.#encoder ??= new LevelsEncoder(this.#gpu);
      for await (const { codec, stored, rawLength, rawCrc } of this.#encoder.encode(source, signal)) {
        encoded += rawLength;
        const storedCrc = crc32(stored);
        await sink.writeEncoded({
          codec,
          stored,
          storedCrc,
          rawLength,
          rawCrc: codec === "raw" ? storedCrc : rawCrc,
        });
        this.#gpu.assertAlive();
        written = encoded;
      }
    } catch (error) {
      // What a chunk on its way failed with is not the encoder's.
      const isOurs = written === encoded && error instanceof CairnError;
      if (!isOurs || error.code !== "out_of_memory") throw error;
      const rest = { buffer, offset: offset + written, size: size - written };
      await this.#writeRaw(ring, [rest], sink, signal);
    }
  }

  /** Staging memory for one pass over the steps. */
  #ringFor(steps: readonly EncodingStep[]): ReadbackRing {
    const slots = this.#gpu.hasBlockingFences ? RING_SLOTS_OF_SLOW_FENCES : RING_SLOTS;
    const byteLength = steps.flatMap(({ ranges }) => ranges).reduce((sum, { size }) => sum + size, 0);
    const share = Math.ceil(byteLength / slots / TENSOR_ALIGNMENT) * TENSOR_ALIGNMENT;
    const slotBytes = Math.min(RING_SLOT_BYTES, share);
    if (this.#ring !== undefined && this.#ring.slotBytes >= slotBytes) return this.#ring;
    this.#ring?.close();
    return this.#ring = new ReadbackRing(this.#gpu, { slots, slotBytes });
  }
}
