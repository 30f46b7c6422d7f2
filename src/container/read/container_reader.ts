import { type Work, WORK_OPTIONS } from "../../base/work.ts";
import { bytesAsHex } from "../../base/hex.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { throwIfAborted } from "../../base/abort.ts";
import { byteSizeOf } from "../../base/dtype.ts";
import { CairnError } from "../../base/errors.ts";
import { allocate } from "../../base/allocate.ts";
import type { CastDType } from "./cast.ts";
import type { CodecPool } from "../codec/codec_pool.ts";
import { ChunkReader } from "./chunk_reader.ts";
import type { ChunkSource } from "./chunk_source.ts";
import type { ChunkRecord } from "../format/chunk_table.ts";
import type { TensorRecord } from "../format/layout.ts";
import type { Manifest } from "../format/manifest.ts";
import { openContainer, type OpenOptions } from "./open_container.ts";
import { RangeReader } from "./range_reader.ts";
import { readTensors } from "./read_many.ts";
import type { ByteSource } from "../source.ts";
import type { Tables } from "../format/tail.ts";
import { selectionOf, type TensorReadOptions, type TensorSelection } from "./tensor_selection.ts";
import { verifyChunks, type VerifyReport } from "./verify.ts";

/** What a {@link ContainerReader} reads from. */
export interface ContainerAccess {
  /** In hexadecimal. */
  readonly fileId: string;
  readonly tables: Tables;
  readonly chunks: ChunkSource;
  /** Reads every byte there is; see `verifyChunks`. */
  readonly verify: (options: Work) => Promise<VerifyReport>;
  readonly close: () => Promise<void>;
}

/** Options of {@link ContainerReader.readMany}. */
export interface ReadManyOptions extends Work {
  /** The floating-point dtype to give the elements in, as in {@link TensorReadOptions}. */
  readonly cast?: CastDType | undefined;
}

/** Every option of {@link ReadManyOptions}. */
export const READ_MANY_OPTIONS: OptionNames<ReadManyOptions> = { ...WORK_OPTIONS, cast: true };

/** Options of {@link ContainerReader.readRange}. */
export interface ReadRangeOptions extends Work {
  /** Memory to read into, as long as the range. Default: memory of its own. */
  readonly into?: Uint8Array | undefined;
}

/** Every option of {@link ReadRangeOptions}. */
export const READ_RANGE_OPTIONS: OptionNames<ReadRangeOptions> = { ...WORK_OPTIONS, into: true };

/** Options of {@link ContainerReader.rawChunks}. */
export interface RawChunksOptions extends Work {
  /** Where in the raw space to begin. Default 0. */
  readonly start?: number | undefined;
  /** Where to end. Default: at its end. */
  readonly end?: number | undefined;
  /**
   * Where to decode, instead of the pool that the reader was opened with. Its opener closes it. The bytes may then be
   * in memory that threads share, which not everything takes.
   */
  readonly pool?: CodecPool | undefined;
}

/** Every option of {@link RawChunksOptions}. */
export const RAW_CHUNKS_OPTIONS: OptionNames<RawChunksOptions> = {
  ...WORK_OPTIONS,
  start: true,
  end: true,
  pool: true,
};

/**
 * A container, open for reading. It trusts nothing: whatever the bytes of the source are, every method either
 * gives what a writer wrote or throws a `CairnError`. A damaged chunk spoils the tensors that have a part in
 * it and no others.
 */
export class ContainerReader {
  /** The state tree, metrics and provenance. Every byte of it was checked when it was opened. */
  readonly manifest: Manifest;
  /** In hexadecimal. */
  readonly fileId: string;
  /** Bytes of the raw space: all tensors in order, each at a multiple of 256. */
  readonly rawByteLength: number;
  /** In the order of the raw space, which they cover without gaps. */
  readonly chunks: readonly ChunkRecord[];
  readonly #tables: Tables;
  readonly #reader: ChunkSource;
  readonly #ranges: RangeReader;
  readonly #verify: ContainerAccess["verify"];
  readonly #close: () => Promise<void>;
  #isClosed = false;

  private constructor({ fileId, tables, chunks, verify, close }: ContainerAccess) {
    this.manifest = tables.manifest;
    this.fileId = fileId;
    this.rawByteLength = tables.layout.rawByteLength;
    this.chunks = tables.chunks;
    this.#tables = tables;
    this.#reader = chunks;
    this.#verify = verify;
    this.#close = close;
    this.#ranges = new RangeReader(this.#reader);
  }

  /**
   * Reads the header, the tables and the manifest, and checks every byte of them. The reader owns the source
   * from then on; when opening fails, the caller still does. Throws `CairnError` with `not_a_container`,
   * `truncated`, `checksum_mismatch`, `invalid_container`, `unsupported` or `limit_exceeded`.
   */
  static async open(source: ByteSource, options: OpenOptions = {}): Promise<ContainerReader> {
    const { header, ...tables } = await openContainer(source, options);
    const chunks = new ChunkReader(source, tables, options.pool);
    return new ContainerReader({
      fileId: bytesAsHex(header.fileId),
      tables,
      chunks,
      verify: (reading) => verifyChunks(chunks, tables, reading),
      close: async () => await source.close?.(),
    });
  }

  /**
   * A reader over chunks that are not those of one file; see `joinContainers`.
   *
   * @internal
   */
  static over(access: ContainerAccess): ContainerReader {
    return new ContainerReader(access);
  }

  /** What the file says of its tensors, in the order of the raw space. */
  get tensors(): readonly TensorRecord[] {
    return this.#tables.layout.tensors;
  }

  /** Whether there is a tensor of this name. */
  has(name: string): boolean {
    return this.#tables.layout.indexOf(name) !== undefined;
  }

  /** What is known of a tensor; `CairnError("not_found")` where there is none of this name. */
  tensor(name: string): TensorRecord {
    const { layout } = this.#tables;
    const index = layout.indexOf(name);
    if (index !== undefined) return layout.record(index);
    throw new CairnError("not_found", `There is no tensor "${name}" among the ${layout.count} in the file`, {
      details: { tensor: name },
    });
  }

  /**
   * The raw little-endian bytes of one tensor, checked, in an array of the caller's own; or only a slice of them, for
   * which no more is read than the chunks it has a part in; or all that in another floating-point dtype. Throws a
   * `RangeError` for a slice that is not inside, and `CairnError` with `not_found`, `dtype_mismatch`, or the code of
   * a damage.
   */
  async read(name: string, options: TensorReadOptions = {}): Promise<Uint8Array> {
    const selection = selectionOf(this.tensor(name), options);
    this.#begin(options.signal);
    const bytes = allocate(selection.byteLength);
    await this.#fill(bytes, selection, options, name);
    return bytes;
  }

  /**
   * As {@link read}, into memory that the caller has: bytes, or a typed array whose elements are as wide as the
   * tensor's. When it throws, some of it may be filled. Throws a `RangeError` unless the result fits exactly.
   */
  async readInto(name: string, into: ArrayBufferView, options: TensorReadOptions = {}): Promise<void> {
    const tensor = this.tensor(name);
    const selection = selectionOf(tensor, options);
    this.#begin(options.signal);
    const width = (into as { BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? 1;
    const dtype = selection.isCast ? options.cast ?? tensor.dtype : tensor.dtype;
    if (into.byteLength !== selection.byteLength || (width !== 1 && width !== byteSizeOf(dtype))) {
      throw new RangeError(
        `Cannot read "${name}" into ${into.byteLength} bytes with elements of ${width}: expected ${selection.byteLength} bytes of ${dtype}`,
      );
    }
    await this.#fill(new Uint8Array(into.buffer, into.byteOffset, into.byteLength), selection, options, name);
  }

  /**
   * What {@link read} gives, piece by piece, however large the tensor is: `bytes` belong at `byteOffset` of the
   * result. They may be overwritten by the next piece, so a caller that wants to keep them has to copy them.
   */
  async *stream(
    name: string,
    options: TensorReadOptions = {},
  ): AsyncGenerator<{ byteOffset: number; bytes: Uint8Array }> {
    const { rawStart, rawEnd, byteLength, convert, resultOffset } = selectionOf(this.tensor(name), options);
    this.#begin(options.signal);
    for await (
      const { rawOffset, bytes } of this.#ranges.pieces(rawStart, rawEnd, {
        signal: options.signal,
        tensor: name,
      })
    ) {
      yield { byteOffset: resultOffset(rawOffset), bytes: convert(bytes) };
      options.onProgress?.({ done: resultOffset(rawOffset + bytes.byteLength), total: byteLength });
      this.#begin(options.signal);
    }
  }

  /**
   * Many tensors, each once, in the order in which they stand in the file: reads are merged where that pays, no chunk
   * is read twice, and little more is in memory than the tensor at hand. Each array is the caller's own. Throws
   * `CairnError` with `not_found` or `dtype_mismatch` before it reads anything, and at the first damage.
   */
  async *readMany(
    names: Iterable<string>,
    options: ReadManyOptions = {},
  ): AsyncGenerator<{ name: string; bytes: Uint8Array }> {
    const { cast } = checkOptions("readMany()", options, READ_MANY_OPTIONS);
    const asked = Array.from(new Set(names), (name) => {
      const tensor = this.tensor(name);
      return { tensor, ...selectionOf(tensor, { cast }) };
    });
    this.#begin(options.signal);
    for await (const { item, bytes } of readTensors(this.#reader, this.#ranges, asked, options)) {
      yield { name: item.tensor.name, bytes: item.convert(bytes) };
      this.#begin(options.signal);
    }
  }

  /**
   * Any part of the raw space, checked, in memory of its own or in `into`, which then is as long. Throws a
   * `RangeError` for a part that is not inside.
   */
  async readRange(
    rawOffset: number,
    byteLength: number,
    options: ReadRangeOptions = {},
  ): Promise<Uint8Array> {
    checkOptions("readRange()", options, READ_RANGE_OPTIONS);
    const isInside = Number.isSafeInteger(rawOffset) && Number.isSafeInteger(byteLength) && rawOffset >= 0 &&
      byteLength >= 0 && rawOffset + byteLength <= this.rawByteLength;
    if (!isInside) {
      throw new RangeError(
        `Cannot read ${byteLength} raw bytes at ${rawOffset}: there are ${this.rawByteLength}`,
      );
    }
    this.#begin(options.signal);
    const bytes = options.into ?? allocate(byteLength);
    if (bytes.byteLength !== byteLength) {
      throw new RangeError(`Cannot read ${byteLength} raw bytes into ${bytes.byteLength}`);
    }
    await this.#ranges.fill(bytes, rawOffset, options);
    return bytes;
  }

  /**
   * The raw space in order, or the part of it from `start` to `end`, chunk by chunk, checked. `bytes` may be
   * overwritten by the next chunk, so a caller that wants to keep it has to copy it.
   */
  async *rawChunks(
    options: RawChunksOptions = {},
  ): AsyncGenerator<{ rawOffset: number; bytes: Uint8Array }> {
    const { start = 0, end = this.rawByteLength, signal, pool } = checkOptions(
      "rawChunks()",
      options,
      RAW_CHUNKS_OPTIONS,
    );
    this.#begin(signal);
    for await (const piece of this.#ranges.pieces(start, end, { signal, pool })) {
      yield piece;
      options.onProgress?.({ done: piece.rawOffset + piece.bytes.byteLength, total: this.rawByteLength });
      this.#begin(options.signal);
    }
  }

  /**
   * Reads every byte of every chunk and between chunks, and lists the damaged ones. Opening checked all the
   * rest.
   */
  async verify(options: Work = {}): Promise<VerifyReport> {
    checkOptions("verify()", options, WORK_OPTIONS);
    this.#assertOpen();
    return await this.#verify(options);
  }

  /** Gives back the source. Closing twice is fine; reading afterwards throws `CairnError("closed")`. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#ranges.forget();
    await this.#close();
  }

  /** As {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #fill(
    into: Uint8Array,
    selection: TensorSelection,
    options: TensorReadOptions,
    tensor: string,
  ): Promise<void> {
    const { rawStart, rawEnd, byteLength, isCast, convert, resultOffset } = selection;
    if (!isCast) return await this.#ranges.fill(into, rawStart, options, tensor);
    for await (
      const { rawOffset, bytes } of this.#ranges.pieces(rawStart, rawEnd, { signal: options.signal, tensor })
    ) {
      into.set(convert(bytes), resultOffset(rawOffset));
      options.onProgress?.({ done: resultOffset(rawOffset + bytes.byteLength), total: byteLength });
    }
  }

  /** What every read checks first, and again after each pause. */
  #begin(signal: AbortSignal | undefined): void {
    this.#assertOpen();
    throwIfAborted(signal);
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new CairnError("closed", "This ContainerReader is closed");
  }
}
