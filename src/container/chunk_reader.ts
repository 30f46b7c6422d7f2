import { throwIfAborted } from "../base/abort.ts";
import { crc32 } from "../base/crc32.ts";
import { CairnError } from "../base/errors.ts";
import { isAllZero } from "../base/little_endian.ts";
import { allocate } from "./allocate.ts";
import type { ChunkRecord } from "./chunk_table.ts";
import { ChunksUnderWay, type RawChunk } from "./chunks_under_way.ts";
import type { CodecPool } from "./codec/codec_pool.ts";
import type { CodecName } from "./codec/table.ts";
import { hex32 } from "./header.ts";
import { DEFAULT_READ_BYTES, paddedLength, planReads } from "./read_plan.ts";
import type { ByteSource } from "./source.ts";
import type { Tables } from "./tail.ts";
import { TensorsByRange } from "./tensors_by_range.ts";

/** Reads single chunks and checks all there is to check about them. */
export class ChunkReader {
  /** About how many bytes are read at once. */
  readonly readBytes: number;
  readonly #source: ByteSource;
  readonly #tables: Tables;
  readonly #pool: CodecPool | undefined;
  #byRange: TensorsByRange | undefined;
  // Where stored bytes are read to, while nobody does.
  #spare: Uint8Array | undefined;

  /** Decodes in `pool`, where there is one, what is read in many chunks. */
  constructor(source: ByteSource, tables: Tables, pool?: CodecPool) {
    this.#pool = pool;
    this.readBytes = source.preferredReadBytes ?? DEFAULT_READ_BYTES;
    this.#source = source;
    this.#tables = tables;
  }

  /**
   * The raw bytes of chunk `index`. `scratch`, where given, holds the stored bytes, and the result may be a
   * view of it. Throws `CairnError` with `checksum_mismatch` or `invalid_container` for a damaged one, in
   * words that name `tensor`, or else the tensors that have a part in the chunk.
   */
  async read(
    index: number,
    { scratch, signal, tensor }: {
      readonly scratch?: Uint8Array;
      readonly signal?: AbortSignal | undefined;
      readonly tensor?: string | undefined;
    } = {},
  ): Promise<Uint8Array> {
    const chunk = this.chunk(index);
    const length = paddedLength(chunk);
    const padded = scratch === undefined ? allocate(length) : scratch.subarray(0, length);
    await this.#source.read(chunk.storedOffset, padded, signal);
    return this.#checkedRaw(index, padded, tensor);
  }

  /**
   * The raw bytes of the chunks `wanted`, whose indices rise, in as few reads as `planReads` needs. The bytes may be
   * overwritten by what comes next. Throws as {@link read}.
   */
  async *readMany(
    wanted: Iterable<number>,
    signal?: AbortSignal,
    tensor?: string,
  ): AsyncGenerator<RawChunk> {
    // New memory costs more than reading into it: the system hands it out page by page.
    let scratch = this.#spare ?? allocate(0);
    this.#spare = undefined;
    const underWay = new ChunksUnderWay(2 * (this.#pool?.size ?? 0));
    try {
      for (const { offset, byteLength, chunks } of planReads(this.#tables.chunks, wanted, this.readBytes)) {
        throwIfAborted(signal);
        if (scratch.byteLength < byteLength) scratch = allocate(byteLength);
        await this.#source.read(offset, scratch.subarray(0, byteLength), signal);
        for (const index of chunks) {
          throwIfAborted(signal);
          const chunk = this.chunk(index);
          const start = chunk.storedOffset - offset;
          const padded = scratch.subarray(start, start + paddedLength(chunk));
          if (this.#pool === undefined) yield { index, raw: this.#checkedRaw(index, padded, tensor) };
          else yield* underWay.add(index, this.#rawFromPool(this.#pool, index, padded, tensor));
        }
      }
      throwIfAborted(signal);
      yield* underWay.drain();
    } finally {
      if (scratch.byteLength <= 2 * this.readBytes) this.#spare = scratch;
    }
  }

  /**
   * Reads the raw chunks from `first` up to but not including `end` straight to where they are wanted, in one piece: raw chunks
   * follow each other without a gap.
   */
  async readRaw(
    first: number,
    end: number,
    into: Uint8Array,
    signal?: AbortSignal,
    tensor?: string,
  ): Promise<void> {
    const start = this.chunk(first);
    await this.#source.read(start.storedOffset, into, signal);
    for (let index = first; index < end; index++) {
      const { rawOffset, rawLength, storedCrc } = this.chunk(index);
      const at = rawOffset - start.rawOffset;
      this.#check(index, into.subarray(at, at + rawLength), storedCrc, tensor);
    }
  }

  /** The record of chunk `index`, which has to exist. */
  chunk(index: number): ChunkRecord {
    return this.#tables.chunks[index] as ChunkRecord;
  }

  /** Index of the chunk with the raw byte at `rawOffset`, by binary search. */
  indexAt(rawOffset: number): number {
    const { chunks } = this.#tables;
    let low = 0;
    let high = chunks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.chunk(middle).rawOffset <= rawOffset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Names of the tensors that have a part in chunk `index`, aliases included: 1000 at most. */
  tensorsIn(index: number): string[] {
    const { rawOffset, rawLength } = this.chunk(index);
    // Made only when something is damaged.
    this.#byRange ??= new TensorsByRange(this.#tables.layout.tensors);
    return this.#byRange.within(rawOffset, rawOffset + rawLength);
  }

  /** The raw bytes of a chunk whose stored bytes, with the zeros behind them, are `padded`. */
  #checkedRaw(index: number, padded: Uint8Array, tensor: string | undefined): Uint8Array {
    const stored = this.#checkedStored(index, padded, tensor);
    const { codec, rawCrc } = this.chunk(index);
    const raw = this.#decode(index, stored, tensor);
    if (codec.name !== "raw") this.#check(index, raw, rawCrc, tensor);
    return raw;
  }

  /** The same in memory of its own, decoded by a pool. */
  async #rawFromPool(
    pool: CodecPool,
    index: number,
    padded: Uint8Array,
    tensor: string | undefined,
  ): Promise<Uint8Array> {
    // The pool takes its bytes over, and the next read overwrites these.
    const stored = this.#checkedStored(index, padded, tensor).slice();
    const { codec, rawLength, dtype, rawCrc } = this.chunk(index);
    if (codec.name === "raw") return stored;
    let raw: Uint8Array;
    try {
      raw = await pool.decode(stored, rawLength, dtype, codec.name as CodecName);
    } catch (cause) {
      if (!(cause instanceof CairnError) || cause.code !== "invalid_container") throw cause;
      throw this.#damaged(index, tensor, cause.message, { cause });
    }
    this.#check(index, raw, rawCrc, tensor);
    return raw;
  }

  #checkedStored(index: number, padded: Uint8Array, tensor: string | undefined): Uint8Array {
    const { storedLength, storedCrc } = this.chunk(index);
    const stored = padded.subarray(0, storedLength);
    this.#check(index, stored, storedCrc, tensor);
    if (!isAllZero(padded.subarray(storedLength))) {
      throw this.#damaged(index, tensor, "the bytes behind it are not zero");
    }
    return stored;
  }

  #check(index: number, bytes: Uint8Array, expected: number, tensor: string | undefined): void {
    const actual = crc32(bytes);
    if (actual === expected) return;
    throw this.#damaged(
      index,
      tensor,
      `its checksum is ${hex32(actual)}, expected ${hex32(expected)}; the file is damaged there`,
      { code: "checksum_mismatch" },
    );
  }

  #decode(index: number, stored: Uint8Array, tensor: string | undefined): Uint8Array {
    const { codec, rawLength, dtype } = this.chunk(index);
    try {
      return codec.decode(stored, rawLength, dtype);
    } catch (cause) {
      throw this.#damaged(index, tensor, cause instanceof Error ? cause.message : String(cause), { cause });
    }
  }

  #damaged(
    index: number,
    tensor: string | undefined,
    problem: string,
    { code = "invalid_container", cause }: {
      code?: "checksum_mismatch" | "invalid_container";
      cause?: unknown;
    } = {},
  ): CairnError {
    const names = tensor === undefined ? this.tensorsIn(index) : [tensor];
    const [first = ""] = names;
    const more = names.length > 1 ? ` and ${names.length - 1} more` : "";
    const offset = this.chunk(index).storedOffset;
    return new CairnError(code, `Cannot read chunk ${index} of "${first}"${more}: ${problem}`, {
      details: { tensor: first, offset },
      cause,
    });
  }
}
