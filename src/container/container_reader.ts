import { throwIfAborted } from "../base/abort.ts";
import { CairnError } from "../base/errors.ts";
import { allocate } from "./allocate.ts";
import { ChunkReader } from "./chunk_reader.ts";
import type { ChunkRecord } from "./chunk_table.ts";
import { fileIdToHex } from "./header.ts";
import type { TensorRecord } from "./layout.ts";
import type { Manifest } from "./manifest.ts";
import { openContainer, type OpenOptions } from "./open_container.ts";
import type { ByteSource } from "./source.ts";
import type { Tables } from "./tail.ts";
import { type ReadOptions, scratchFor, verifyChunks, type VerifyReport } from "./verify.ts";

/**
 * A container, open for reading. It trusts nothing: whatever the bytes of the source are, every method either
 * gives what a writer wrote or throws a `CairnError`. A damaged chunk spoils the tensors that have a part in
 * it and no others.
 */
export class ContainerReader {
  readonly manifest: Manifest;
  /** In hexadecimal. */
  readonly fileId: string;
  /** In the order of the raw space. */
  readonly tensors: readonly TensorRecord[];
  readonly rawByteLength: number;
  readonly chunks: readonly ChunkRecord[];
  readonly #source: ByteSource;
  readonly #tables: Tables;
  readonly #reader: ChunkReader;
  readonly #byName: ReadonlyMap<string, TensorRecord>;
  // The chunk that was last read in part: many small tensors share one, and are mostly read in order.
  #recent: { readonly index: number; readonly raw: Uint8Array } | undefined;
  #isClosed = false;

  private constructor(source: ByteSource, fileId: string, tables: Tables) {
    this.manifest = tables.manifest;
    this.fileId = fileId;
    this.tensors = tables.layout.tensors;
    this.rawByteLength = tables.layout.rawByteLength;
    this.chunks = tables.chunks;
    this.#source = source;
    this.#tables = tables;
    this.#reader = new ChunkReader(source, tables);
    this.#byName = new Map(this.tensors.map((tensor) => [tensor.name, tensor]));
  }

  /**
   * Reads the header, the tables and the manifest, and checks every byte of them. The reader owns the source
   * from then on; when opening fails, the caller still does. Throws `CairnError` with `not_a_container`,
   * `truncated`, `checksum_mismatch`, `invalid_container`, `unsupported` or `limit_exceeded`.
   */
  static async open(source: ByteSource, options: OpenOptions = {}): Promise<ContainerReader> {
    const { header, ...tables } = await openContainer(source, options);
    return new ContainerReader(source, fileIdToHex(header.fileId), tables);
  }

  /** Whether there is a tensor of this name. */
  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** What is known of a tensor; `CairnError("not_found")` where there is none of this name. */
  tensor(name: string): TensorRecord {
    const tensor = this.#byName.get(name);
    if (tensor === undefined) {
      throw new CairnError(
        "not_found",
        `There is no tensor "${name}" among the ${this.tensors.length} in the file`,
        {
          details: { tensor: name },
        },
      );
    }
    return tensor;
  }

  /** The raw little-endian bytes of one tensor, checked, in an array of the caller's own. */
  async read(name: string, options: ReadOptions = {}): Promise<Uint8Array> {
    const { rawOffset, byteLength } = this.tensor(name);
    return await this.#read(rawOffset, byteLength, options, name);
  }

  /** Any part of the raw space, checked. Throws a `RangeError` for one that is not inside. */
  async readRange(rawOffset: number, byteLength: number, options: ReadOptions = {}): Promise<Uint8Array> {
    const isInside = Number.isSafeInteger(rawOffset) && Number.isSafeInteger(byteLength) && rawOffset >= 0 &&
      byteLength >= 0 && rawOffset + byteLength <= this.rawByteLength;
    if (!isInside) {
      throw new RangeError(
        `Cannot read ${byteLength} raw bytes at ${rawOffset}: there are ${this.rawByteLength}`,
      );
    }
    return await this.#read(rawOffset, byteLength, options);
  }

  /**
   * All of the raw space in order, chunk by chunk, checked. `bytes` may be overwritten by the next chunk, so
   * a caller that wants to keep it has to copy it.
   */
  async *rawChunks(options: ReadOptions = {}): AsyncGenerator<{ rawOffset: number; bytes: Uint8Array }> {
    const scratch = scratchFor(this.#reader, this.#tables);
    for (const [index, chunk] of this.chunks.entries()) {
      this.#assertOpen();
      throwIfAborted(options.signal);
      const bytes = await this.#reader.read(index, scratch);
      yield { rawOffset: chunk.rawOffset, bytes };
      options.onProgress?.({ done: chunk.rawOffset + chunk.rawLength, total: this.rawByteLength });
    }
  }

  /**
   * Reads every byte of every chunk and between chunks, and lists the damaged ones. Opening checked all the
   * rest.
   */
  async verify(options: ReadOptions = {}): Promise<VerifyReport> {
    this.#assertOpen();
    return await verifyChunks(this.#reader, this.#tables, options);
  }

  /** Gives back the source. Closing twice is fine; reading afterwards throws `CairnError("closed")`. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#recent = undefined;
    await this.#source.close?.();
  }

  /** As {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #read(
    rawOffset: number,
    byteLength: number,
    { signal, onProgress }: ReadOptions,
    tensor?: string,
  ): Promise<Uint8Array> {
    this.#assertOpen();
    throwIfAborted(signal);
    const result = allocate(byteLength);
    const end = rawOffset + byteLength;
    for (let at = rawOffset, index = this.#reader.indexAt(rawOffset); at < end; index++) {
      throwIfAborted(signal);
      const { rawOffset: chunkStart, rawLength, codec } = this.#reader.chunk(index);
      const chunkEnd = Math.min(end, chunkStart + rawLength);
      const part = result.subarray(at - rawOffset, chunkEnd - rawOffset);
      if (part.byteLength === rawLength && codec.name === "raw") {
        await this.#reader.readInto(index, part, tensor);
      } else {
        const raw = await this.#chunk(index, tensor);
        part.set(raw.subarray(at - chunkStart, chunkEnd - chunkStart));
      }
      at = chunkEnd;
      onProgress?.({ done: at - rawOffset, total: byteLength });
    }
    return result;
  }

  async #chunk(index: number, tensor: string | undefined): Promise<Uint8Array> {
    if (this.#recent?.index === index) return this.#recent.raw;
    const raw = await this.#reader.read(index, undefined, tensor);
    this.#recent = { index, raw };
    return raw;
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new CairnError("closed", "This ContainerReader is closed");
  }
}
