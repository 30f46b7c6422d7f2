import type { Work } from "../../base/work.ts";
import { throwIfAborted } from "../../base/abort.ts";
import { allocate } from "../../base/allocate.ts";
import { Scratch } from "../../base/bytes/scratch.ts";
import type { ChunkReading } from "./chunk_reader.ts";
import type { ChunkSource } from "./chunk_source.ts";

/** A piece of the raw space. */
export interface RawPiece {
  readonly rawOffset: number;
  readonly bytes: Uint8Array;
}

/** The last chunk of a range is kept in memory where the range is shorter than this many of them. */
const MAX_CHUNKS_BEFORE_KEPT = 8;

/** Neighbouring chunks that are read in the same way. */
interface ChunkSpan {
  readonly first: number;
  /** Behind the last one. */
  readonly end: number;
  readonly rawStart: number;
  readonly rawEnd: number;
  /** Whether all of them are raw and wanted whole, so that they can be read straight to where they are wanted. */
  readonly isDirect: boolean;
}

/** Reads any range of the raw space, and no chunk that has no part in it. */
export class RangeReader {
  readonly #chunks: ChunkSource;
  // The chunk in which the last range ended: many small tensors share one, and are mostly read in order.
  #recent: { readonly index: number; readonly raw: Uint8Array } | undefined;
  #kept = new Scratch();

  constructor(chunks: ChunkSource) {
    this.#chunks = chunks;
  }

  /** Fills `into` with the raw bytes from `rawOffset` on. Damage is reported in words that name `tensor`. */
  async fill(
    into: Uint8Array,
    rawOffset: number,
    { signal, onProgress }: Work,
    tensor?: string,
  ): Promise<void> {
    const total = into.byteLength;
    if (this.#copyRecent(into, rawOffset)) return onProgress?.({ done: total, total });
    const end = rawOffset + total;
    const report = (rawEnd: number): void => onProgress?.({ done: rawEnd - rawOffset, total });
    for (const span of this.#spans(rawOffset, end)) {
      throwIfAborted(signal);
      if (span.isDirect) {
        const bytes = into.subarray(span.rawStart - rawOffset, span.rawEnd - rawOffset);
        await this.#chunks.readRaw(span.first, span.end, bytes, signal, tensor);
        report(span.rawEnd);
        continue;
      }
      if (span.end - span.first === 1 && this.#isWorthKeeping(span.first, rawOffset, end)) {
        await this.#fillFromOne(into, rawOffset, span, signal, tensor);
        report(span.rawEnd);
        continue;
      }
      for await (
        const { index, raw, piece } of this.#pieces(span.rawStart, span.rawEnd, { signal, tensor })
      ) {
        into.set(piece.bytes, piece.rawOffset - rawOffset);
        if (this.#isWorthKeeping(index, rawOffset, end)) this.#remember(index, raw);
        report(piece.rawOffset + piece.bytes.byteLength);
      }
    }
  }

  /**
   * The raw bytes from `start` to `end`, chunk by chunk, in memory that is not shared unless `reading` has a pool. They
   * may be overwritten by the next piece.
   */
  async *pieces(start: number, end: number, reading: ChunkReading = {}): AsyncGenerator<RawPiece> {
    let plain = allocate(0);
    for await (const { piece: { rawOffset, bytes } } of this.#pieces(start, end, reading)) {
      if (reading.pool !== undefined || bytes.buffer instanceof ArrayBuffer) {
        yield { rawOffset, bytes };
        continue;
      }
      // Much that takes bytes does not take shared ones: decoders of text, responses, blobs.
      if (plain.byteLength < bytes.byteLength) plain = allocate(bytes.byteLength);
      plain.set(bytes);
      yield { rawOffset, bytes: plain.subarray(0, bytes.byteLength) };
    }
  }

  /** Indices of the chunks that have a part in the raw bytes from `start` to `end`. */
  *indicesOf(start: number, end: number): Generator<number> {
    for (let index = this.#chunks.indexAt(start), at = start; at < end; index++) {
      yield index;
      at = this.#endOf(index);
    }
  }

  /** Lets go of what is kept in memory. */
  forget(): void {
    this.#recent = undefined;
    this.#kept = new Scratch();
  }

  /** As {@link fill}, for the one chunk of a span, which is read to memory of its own, so that it can be kept. */
  async #fillFromOne(
    into: Uint8Array,
    rawOffset: number,
    { first, rawStart, rawEnd }: ChunkSpan,
    signal: AbortSignal | undefined,
    tensor: string | undefined,
  ): Promise<void> {
    const start = this.#chunks.chunk(first).rawOffset;
    const raw = await this.#chunks.read(first, { signal, tensor });
    into.set(raw.subarray(rawStart - start, rawEnd - start), rawStart - rawOffset);
    this.#recent = { index: first, raw };
  }

  async *#pieces(
    start: number,
    end: number,
    reading: ChunkReading,
  ): AsyncGenerator<{ readonly index: number; readonly raw: Uint8Array; readonly piece: RawPiece }> {
    for await (const { index, raw } of this.#chunks.readMany(this.indicesOf(start, end), reading)) {
      const { rawOffset } = this.#chunks.chunk(index);
      const from = Math.max(start, rawOffset);
      const bytes = raw.subarray(from - rawOffset, Math.min(end - rawOffset, raw.byteLength));
      yield { index, raw, piece: { rawOffset: from, bytes } };
    }
  }

  /** Whether all of a range was in the chunk that is kept, and is now in `into`. */
  #copyRecent(into: Uint8Array, rawOffset: number): boolean {
    if (this.#recent === undefined) return false;
    const { index, raw } = this.#recent;
    const at = rawOffset - this.#chunks.chunk(index).rawOffset;
    const isInside = at >= 0 && at + into.byteLength <= raw.byteLength;
    if (isInside) into.set(raw.subarray(at, at + into.byteLength));
    return isInside;
  }

  /** Cuts a range where the way of reading changes, and direct spans also where they get too long. */
  *#spans(start: number, end: number): Generator<ChunkSpan> {
    let span: ChunkSpan | undefined;
    for (const index of this.indicesOf(start, end)) {
      const { rawOffset, rawLength, codec } = this.#chunks.chunk(index);
      const rawEnd = rawOffset + rawLength;
      const isDirect = codec.name === "raw" && rawOffset >= start && rawEnd <= end;
      const next: ChunkSpan = {
        first: index,
        end: index + 1,
        rawStart: Math.max(start, rawOffset),
        rawEnd: Math.min(end, rawEnd),
        isDirect,
      };
      const joins = span?.isDirect === isDirect &&
        (!isDirect || rawEnd - span.rawStart <= this.#chunks.readBytes);
      if (span !== undefined && joins) span = { ...span, end: next.end, rawEnd: next.rawEnd };
      else {
        if (span !== undefined) yield span;
        span = next;
      }
    }
    if (span !== undefined) yield span;
  }

  /** Whether a range ends inside of chunk `index`, and is not so long that reading it again makes no difference. */
  #isWorthKeeping(index: number, start: number, end: number): boolean {
    const chunkEnd = this.#endOf(index);
    const { rawOffset, rawLength } = this.#chunks.chunk(index);
    return end > rawOffset && end < chunkEnd && end - start < MAX_CHUNKS_BEFORE_KEPT * rawLength;
  }

  #endOf(index: number): number {
    const { rawOffset, rawLength } = this.#chunks.chunk(index);
    return rawOffset + rawLength;
  }

  #remember(index: number, raw: Uint8Array): void {
    // It lies in memory that the next chunk will be in.
    const kept = this.#kept.take(raw.byteLength);
    kept.set(raw);
    this.#recent = { index, raw: kept };
  }
}
