import { throwIfAborted } from "../base/abort.ts";
import type { DType } from "../base/dtype.ts";
import { CairnError } from "../base/errors.ts";
import { type ItemBits, itemBitsOf } from "../base/item_bits.ts";
import type { BufferRange } from "../gpu/buffer_range.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import { ReadbackRing } from "../gpu/readback.ts";
import { crc32, crc32Blocks, crc32Sums, crc32Tables, encodeCrc32Span } from "./crc32.ts";
import { KeptBuffers } from "./kept_buffers.ts";
import { levelsEncode } from "./levels_encode.ts";
import { levelsMeasure } from "./levels_measure.ts";
import { levelsOffsets } from "./levels_offsets.ts";
import { encodeLevelsSpan, type LevelsCounts, levelsCounts, type LevelsSpan } from "./levels_span.ts";
import { submitDispatches } from "../gpu/submit_dispatches.ts";

/** Options of {@link LevelsEncoder}. */
export interface LevelsEncoderOptions {
  /** Stored bytes that are encoded and read back at once. Default 32 MiB; more where one chunk is longer. */
  readonly batchBytes?: number;
}

/** What to encode. */
export interface LevelsSource {
  /** Raw bytes of one dtype in a buffer with the usage `STORAGE` and `COPY_SRC`, at a multiple of 256. */
  readonly range: BufferRange;
  readonly dtype: DType;
  /** Raw bytes of each chunk but the last: a multiple of 256. */
  readonly chunkBytes: number;
}

/** A chunk as the file has it. */
export interface LevelsChunk {
  readonly codec: "levels" | "raw";
  /** Valid until the next chunk is asked for. */
  readonly stored: Uint8Array;
  readonly rawLength: number;
  readonly rawCrc: number;
}

/** The same chunk before it is there. */
interface PlannedChunk {
  readonly codec: "levels" | "raw";
  readonly storedLength: number;
  readonly rawStart: number;
  readonly rawLength: number;
  readonly rawCrc: number;
}

const DEFAULT_BATCH_BYTES = 32 * 1024 * 1024;
const RING_SLOTS = 4;
/** As in the codec on the CPU: below this saving a chunk is not worth the time it takes to decode. */
const WORTHWHILE = 31 / 32;
const LEFT_OUT = 0xffffffff;

/**
 * Encodes GPU memory by the codec `levels` on the GPU itself, so that only encoded bytes are read back. They are those
 * that the codec makes on the CPU, to the last bit.
 *
 * It takes GPU memory for one batch of stored bytes and as much staging memory, and 8 bytes for each group of 1024
 * items.
 */
export class LevelsEncoder {
  readonly #gpu: GpuDevice;
  readonly #batchBytes: number;
  readonly #buffers: KeptBuffers;
  #ring: ReadbackRing | undefined;

  constructor(gpu: GpuDevice, { batchBytes = DEFAULT_BATCH_BYTES }: LevelsEncoderOptions = {}) {
    if (!Number.isSafeInteger(batchBytes) || batchBytes < 256) {
      throw new RangeError(`batchBytes is ${batchBytes}, expected 256 or more`);
    }
    this.#gpu = gpu;
    this.#batchBytes = Math.min(batchBytes, gpu.limits.maxStorageBufferBindingSize);
    this.#buffers = new KeptBuffers(gpu);
  }

  /**
   * The chunks of a source, in order. The source must not change until the last one was given. One source at a time.
   *
   * Waits for the GPU once for the lengths of all chunks and then once for each batch.
   * @throws RangeError for an invalid range or chunk size.
   * @throws CairnError `limit_exceeded` for a range that is too large to bind; `device_lost`, `out_of_memory`,
   * `gpu_validation`; the reason of the signal when it aborts.
   */
  async *encode(source: LevelsSource, signal?: AbortSignal): AsyncGenerator<LevelsChunk> {
    const { range, dtype, chunkBytes } = source;
    checkSource(source, this.#gpu);
    const items = itemBitsOf(dtype);
    const span = { byteLength: range.size, chunkBytes };
    const counts = levelsCounts(span, items);
    throwIfAborted(signal);
    try {
      const chunks = await this.#measure(range, span, { items, counts });
      for (const batch of batchesOf(chunks, Math.max(this.#batchBytes, chunkBytes))) {
        throwIfAborted(signal);
        const stored = await this.#encodeBatch(range, span, items, batch);
        yield* this.#readBatch(range, stored, batch.chunks, signal);
      }
    } catch (error) {
      // Buffers that were not allocated stay invalid for ever; the next source has to try anew.
      this.close();
      throw error;
    }
  }

  /** Frees its GPU memory. Safe to call twice. */
  close(): void {
    this.#ring?.close();
    this.#ring = undefined;
    this.#buffers.close();
  }

  /** How long each chunk will be, and its checksum. */
  async #measure(
    source: BufferRange,
    span: LevelsSpan,
    { items, counts }: { items: ItemBits; counts: LevelsCounts },
  ): Promise<PlannedChunk[]> {
    const starts = Uint32Array.from({ length: counts.chunks }, (_, chunk) => chunk * counts.chunkGroups);
    const buffers = this.#buffers;
    const bound = await this.#gpu.validated("levels buffers", () => ({
      source,
      span: buffers.put("levels span", encodeLevelsSpan(span, items)),
      starts: buffers.put("levels starts", starts),
      heads: buffers.take("levels heads", 4 * counts.groups),
      offsets: buffers.take("levels offsets", 4 * counts.groups),
      lengths: buffers.take("levels lengths", 4 * counts.chunks),
      crc32Span: buffers.put("crc32 span", encodeCrc32Span(span)),
      tables: buffers.put("crc32 tables", crc32Tables()),
      parts: buffers.take("crc32 parts", 4 * crc32Blocks(span)),
    }));
    await submitDispatches(this.#gpu, "measure levels", [
      levelsMeasure(bound, counts),
      levelsOffsets(bound, counts),
      crc32({ ...bound, span: bound.crc32Span }, span),
    ], [bound.heads, bound.offsets, bound.lengths, bound.parts].map(({ buffer }) => buffer));
    const [lengths, parts] = await this.#gpu.read([bound.lengths, bound.parts]);
    return plannedChunks(span, wordsOf(lengths), crc32Sums(wordsOf(parts), span));
  }

  async #encodeBatch(
    source: BufferRange,
    span: LevelsSpan,
    items: ItemBits,
    batch: Batch,
  ): Promise<BufferRange> {
    const { firstChunk, chunks, targets, byteLength } = batch;
    const { chunks: all, chunkGroups, groups } = levelsCounts(span, items);
    const everyTarget = new Uint32Array(all).fill(LEFT_OUT);
    everyTarget.set(targets, firstChunk);
    const buffers = this.#buffers;
    const part = { firstChunk, chunks: chunks.length };
    const bound = await this.#gpu.validated("levels buffers", () => ({
      source,
      span: buffers.put("levels span", encodeLevelsSpan(span, items, part)),
      heads: buffers.take("levels heads", 4 * groups),
      offsets: buffers.take("levels offsets", 4 * groups),
      targets: buffers.put("levels targets", everyTarget),
      stored: buffers.take("levels stored", Math.max(4, byteLength)),
    }));
    if (byteLength === 0) return bound.stored;
    const first = firstChunk * chunkGroups;
    const end = Math.min(groups, first + chunks.length * chunkGroups);
    const pass = levelsEncode(bound, { groups: end - first });
    await submitDispatches(this.#gpu, "encode levels", [pass], [bound.stored.buffer]);
    return bound.stored;
  }

  /** Reads a batch back; chunks that did not get smaller are read from the source. */
  async *#readBatch(
    source: BufferRange,
    stored: BufferRange,
    chunks: readonly PlannedChunk[],
    signal: AbortSignal | undefined,
  ): AsyncGenerator<LevelsChunk> {
    let at = 0;
    const ranges = chunks.map(({ codec, storedLength, rawStart }): BufferRange => {
      if (codec === "raw") return { ...source, offset: source.offset + rawStart, size: storedLength };
      at += storedLength;
      return { ...stored, offset: at - storedLength, size: storedLength };
    });
    const longest = Math.max(...chunks.map(({ storedLength }) => storedLength));
    // Memory of our own: when a device is lost, mapped memory goes away, in the middle of a write.
    const host = new Uint8Array(longest);
    let index = 0;
    let filled = 0;
    for await (const piece of this.#readback().stream(ranges, { signal })) {
      for (let used = 0; used < piece.byteLength;) {
        const { codec, storedLength, rawLength, rawCrc } = chunks[index] as PlannedChunk;
        const part = piece.subarray(used, used + storedLength - filled);
        host.set(part, filled);
        used += part.byteLength;
        filled += part.byteLength;
        if (filled < storedLength) break;
        yield { codec, stored: host.subarray(0, storedLength), rawLength, rawCrc };
        this.#gpu.assertAlive();
        index++;
        filled = 0;
      }
    }
  }

  #readback(): ReadbackRing {
    const slotBytes = Math.ceil(this.#batchBytes / RING_SLOTS / 256) * 256;
    return this.#ring ??= new ReadbackRing(this.#gpu, { slots: RING_SLOTS, slotBytes });
  }
}

/** Chunks that are encoded and read back at once. */
interface Batch {
  readonly firstChunk: number;
  readonly chunks: PlannedChunk[];
  /** For each of them where it goes, in words. */
  readonly targets: number[];
  /** Stored bytes of those that are encoded. */
  byteLength: number;
}

function batchesOf(chunks: readonly PlannedChunk[], batchBytes: number): Batch[] {
  const batches: Batch[] = [];
  let total = Infinity;
  for (const [index, chunk] of chunks.entries()) {
    if (total + chunk.storedLength > batchBytes) {
      batches.push({ firstChunk: index, chunks: [], targets: [], byteLength: 0 });
      total = 0;
    }
    const batch = batches.at(-1) as Batch;
    total += chunk.storedLength;
    batch.chunks.push(chunk);
    batch.targets.push(chunk.codec === "raw" ? LEFT_OUT : batch.byteLength / 4);
    if (chunk.codec !== "raw") batch.byteLength += chunk.storedLength;
  }
  return batches;
}

function plannedChunks(span: LevelsSpan, lengths: Uint32Array, sums: readonly number[]): PlannedChunk[] {
  return sums.map((rawCrc, chunk) => {
    const rawStart = chunk * span.chunkBytes;
    const rawLength = Math.min(span.chunkBytes, span.byteLength - rawStart);
    const storedLength = 4 * (lengths[chunk] as number);
    return storedLength > rawLength * WORTHWHILE
      ? { codec: "raw", storedLength: rawLength, rawStart, rawLength, rawCrc }
      : { codec: "levels", storedLength, rawStart, rawLength, rawCrc };
  });
}

function checkSource({ range, chunkBytes }: LevelsSource, { limits, adapterName }: GpuDevice): void {
  const { offset, size } = range;
  if (offset % 256 !== 0 || size <= 0 || size % 4 !== 0 || chunkBytes % 256 !== 0) {
    throw new RangeError(
      `Cannot encode ${size} bytes at ${offset} in chunks of ${chunkBytes}: the offset and the chunks have to be multiples of 256, ` +
        "the length one of 4",
    );
  }
  const limit = limits.maxStorageBufferBindingSize;
  if (size <= limit) return;
  throw new CairnError(
    "limit_exceeded",
    `Cannot encode ${size} bytes at once: the adapter "${adapterName}" allows ${limit} (maxStorageBufferBindingSize)`,
    { details: { limit, value: size } },
  );
}

function wordsOf(bytes: Uint8Array | undefined): Uint32Array {
  if (bytes === undefined) throw new RangeError("nothing was read back");
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}
