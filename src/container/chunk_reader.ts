import { alignUp } from "../base/checked.ts";
import { crc32 } from "../base/crc32.ts";
import { CairnError } from "../base/errors.ts";
import { isAllZero } from "../base/little_endian.ts";
import { allocate } from "./allocate.ts";
import type { ChunkRecord } from "./chunk_table.ts";
import { hex32 } from "./header.ts";
import type { ByteSource } from "./source.ts";
import type { Tables } from "./tail.ts";
import { TensorsByRange } from "./tensors_by_range.ts";
import { FILE_ALIGNMENT } from "./trailer.ts";

/** Reads single chunks and checks all there is to check about them. */
export class ChunkReader {
  readonly #source: ByteSource;
  readonly #tables: Tables;
  #byRange: TensorsByRange | undefined;

  constructor(source: ByteSource, tables: Tables) {
    this.#source = source;
    this.#tables = tables;
  }

  /** Length of a chunk in the file, with the zeros behind it. */
  paddedLength(chunk: ChunkRecord): number {
    return alignUp(chunk.storedLength, FILE_ALIGNMENT);
  }

  /**
   * The raw bytes of chunk `index`. `scratch`, where given, holds the stored bytes, and the result may be a
   * view of it. Throws `CairnError` with `checksum_mismatch` or `invalid_container` for a damaged one, in
   * words that name `tensor`, or else the tensors that have a part in the chunk.
   */
  async read(index: number, scratch?: Uint8Array, tensor?: string): Promise<Uint8Array> {
    const chunk = this.chunk(index);
    const length = this.paddedLength(chunk);
    const padded = scratch === undefined ? allocate(length) : scratch.subarray(0, length);
    await this.#source.read(chunk.storedOffset, padded);
    const stored = padded.subarray(0, chunk.storedLength);
    this.#check(index, stored, chunk.storedCrc, tensor);
    if (!isAllZero(padded.subarray(chunk.storedLength))) {
      throw this.#damaged(index, tensor, "the bytes behind it are not zero");
    }
    const raw = this.#decode(index, stored, tensor);
    if (chunk.codec.name !== "raw") this.#check(index, raw, chunk.rawCrc, tensor);
    return raw;
  }

  /** Reads a chunk of the codec `raw` straight to where it is wanted. */
  async readInto(index: number, into: Uint8Array, tensor?: string): Promise<void> {
    const chunk = this.chunk(index);
    await this.#source.read(chunk.storedOffset, into);
    this.#check(index, into, chunk.storedCrc, tensor);
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
