import { throwIfAborted } from "../../base/abort.ts";
import { CairnError } from "../../base/errors.ts";
import { isAllZero } from "../../base/little_endian.ts";
import { allocate } from "../../base/allocate.ts";
import { Scratch } from "../../base/bytes/scratch.ts";
import { chunkAt } from "../format/chunk_at.ts";
import type { ChunkRecord } from "../format/chunk_table.ts";
import { ChunksUnderWay, type RawChunk } from "./chunks_under_way.ts";
import { type CodecPool, MIN_POOL_BYTES, type PostedJob } from "../codec/codec_pool.ts";
import type { Lent, LentBytes } from "../codec/lent.ts";
import { checkSum, decodeChecked } from "../codec/decode_checked.ts";
import type { CodecName } from "../codec/table.ts";
import { isDamage } from "../format/damage.ts";
import { DEFAULT_READ_BYTES, paddedLength, planReads } from "./read_plan.ts";
import type { ByteSource } from "../source.ts";
import type { Tables } from "../format/tail.ts";
import { TensorsByRange } from "./tensors_by_range.ts";

/** A chunk in memory that is used again once it is released. */
interface LentRawChunk extends RawChunk, Lent {}

/** Memory that is used for one chunk after the other. */
interface ChunkScratch {
  readonly stored: Scratch;
  readonly raw: Scratch;
}

/** How chunks are read. */
export interface ChunkReading {
  readonly signal?: AbortSignal | undefined;
  /** Named where one is damaged, instead of all that have a part in it. */
  readonly tensor?: string | undefined;
  /** Where to decode. */
  readonly pool?: CodecPool | undefined;
}

/** What came of reading one chunk. */
export interface ChunkOutcome extends Lent {
  readonly index: number;
  /** Absent where it is damaged. */
  readonly raw?: Uint8Array;
  readonly damage?: CairnError;
}

/** Reads single chunks and checks all there is to check about them. */
export class ChunkReader {
  /** About how many bytes are read at once. */
  readonly readBytes: number;
  readonly #source: ByteSource;
  readonly #tables: Tables;
  readonly #pool: CodecPool | undefined;
  #byRange: TensorsByRange | undefined;
  // What readMany uses; undefined while it is in use.
  #spare: ChunkScratch | undefined;

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
      readonly scratch?: Uint8Array | undefined;
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
   * overwritten by what comes next, and may be shared with other threads. Throws as {@link read}.
   *
   * @param pool Where to decode, instead of the reader's own.
   */
  async *readMany(
    wanted: Iterable<number>,
    { signal, tensor, pool = this.#pool }: ChunkReading = {},
  ): AsyncGenerator<RawChunk> {
    const scratch = this.#spare ?? { stored: new Scratch(), raw: new Scratch() };
    this.#spare = undefined;
    const underWay = new ChunksUnderWay<LentRawChunk>(pool?.depth ?? 0);
    try {
      for (const { offset, byteLength, chunks } of planReads(this.#tables.chunks, wanted, this.readBytes)) {
        throwIfAborted(signal);
        const lent = chunks.length === 1 ? this.#lend(this.chunk(chunks[0] as number), pool) : undefined;
        const bytes = lent?.bytes.subarray(0, byteLength) ?? scratch.stored.take(byteLength);
        try {
          await this.#source.read(offset, bytes, signal);
          for (const index of chunks) {
            throwIfAborted(signal);
            const chunk = this.chunk(index);
            const start = chunk.storedOffset - offset;
            const padded = bytes.subarray(start, start + paddedLength(chunk));
            const atOnce = underWay.isEmpty && !isForPool(chunk, pool);
            const job = this.#begin(index, padded, {
              tensor,
              pool,
              scratch: atOnce ? scratch.raw : undefined,
            });
            yield* underWay.add(job, atOnce);
          }
        } finally {
          lent?.release();
        }
      }
      throwIfAborted(signal);
      yield* underWay.drain();
    } finally {
      underWay.abandon();
      if (scratch.stored.byteLength + scratch.raw.byteLength <= 4 * this.readBytes) this.#spare = scratch;
    }
  }

  /**
   * All chunks in order, each by itself, so that one that is damaged or missing is told apart from the next. Of the
   * bytes the same is true as of those of {@link readMany}. Throws any other error: an abort, or a failure of the
   * source.
   */
  async *outcomes(signal?: AbortSignal): AsyncGenerator<ChunkOutcome> {
    const scratch: ChunkScratch = { stored: new Scratch(), raw: new Scratch() };
    const pool = this.#pool;
    const underWay = new ChunksUnderWay<ChunkOutcome>(pool?.depth ?? 0);
    try {
      for (const [index, chunk] of this.#tables.chunks.entries()) {
        throwIfAborted(signal);
        const length = paddedLength(chunk);
        const lent = this.#lend(chunk, pool);
        const padded = lent?.bytes.subarray(0, length) ?? scratch.stored.take(length);
        try {
          const missing = await this.#load(index, padded, signal);
          const atOnce = underWay.isEmpty && !isForPool(chunk, pool);
          const job = missing === undefined
            ? this.#begin(index, padded, { pool, scratch: atOnce ? scratch.raw : undefined })
            : jobOf(() => missing);
          yield* underWay.add(withDamage(index, job), atOnce);
        } finally {
          lent?.release();
        }
      }
      if (!underWay.isEmpty) throwIfAborted(signal);
      yield* underWay.drain();
    } finally {
      underWay.abandon();
    }
  }

  /**
   * Reads the raw chunks from `first` up to but not including `end` straight to where they are wanted, in one piece:
   * raw chunks follow each other without a gap.
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
      this.#checkSum(index, into.subarray(at, at + rawLength), storedCrc, tensor);
    }
  }

  /** The record of chunk `index`, which has to exist. */
  chunk(index: number): ChunkRecord {
    return this.#tables.chunks[index] as ChunkRecord;
  }

  /** Index of the chunk with the raw byte at `rawOffset`. */
  indexAt(rawOffset: number): number {
    return chunkAt(this.#tables.chunks, rawOffset);
  }

  /** Names of the tensors that have a part in chunk `index`, aliases included: 1000 at most. */
  tensorsIn(index: number): string[] {
    const { rawOffset, rawLength } = this.chunk(index);
    // Made only when something is damaged.
    this.#byRange ??= new TensorsByRange(this.#tables.layout.tensors);
    return this.#byRange.within(rawOffset, rawOffset + rawLength);
  }

  /** Memory of the pool to read a chunk's bytes to, which saves copying them there. */
  #lend(chunk: ChunkRecord, pool: CodecPool | undefined): LentBytes | undefined {
    if (pool === undefined || this.#source.fillsShared !== true || !isForPool(chunk, pool)) return undefined;
    return pool.lend(Math.max(paddedLength(chunk), chunk.rawLength));
  }

  /** Reads a chunk's bytes; what came of it where they are not there. */
  async #load(
    index: number,
    padded: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<ChunkOutcome | undefined> {
    try {
      await this.#source.read(this.chunk(index).storedOffset, padded, signal);
      return undefined;
    } catch (error) {
      return damagedChunk(index, error);
    }
  }

  /**
   * The chunk whose stored bytes, with the zeros behind them, are `padded`: posted to the pool where it is for it, else
   * decoded. `padded` is not looked at after this has returned; the result may be a view of it or of `scratch`, where
   * that is given.
   */
  #begin(
    index: number,
    padded: Uint8Array,
    { tensor, scratch, pool }: Omit<ChunkReading, "signal"> & { readonly scratch: Scratch | undefined },
  ): PostedJob<LentRawChunk> {
    const chunk = this.chunk(index);
    if (pool === undefined || !isForPool(chunk, pool)) {
      return jobOf(() => {
        const into = chunk.codec.name === "raw" ? undefined : scratch?.take(chunk.rawLength);
        const raw = this.#checkedRaw(index, padded, tensor, into);
        const mayBeView = scratch !== undefined || raw.buffer !== padded.buffer;
        return { index, raw: mayBeView ? raw : raw.slice(), release: () => {} };
      });
    }
    try {
      const stored = this.#storedOf(index, padded, tensor);
      const job = pool.beginDecode(stored, chunk.codec.name as CodecName, chunk);
      return {
        take: async () => {
          try {
            const { bytes, release } = await job.take();
            return { index, raw: bytes, release };
          } catch (cause) {
            throw this.#asDamage(index, tensor, cause);
          }
        },
        abandon: () => job.abandon(),
      };
    } catch (error) {
      return failedJob(error);
    }
  }

  /** The raw bytes of a chunk whose stored bytes, with the zeros behind them, are `padded`. */
  #checkedRaw(index: number, padded: Uint8Array, tensor: string | undefined, into?: Uint8Array): Uint8Array {
    const stored = this.#storedOf(index, padded, tensor);
    const chunk = this.chunk(index);
    try {
      return decodeChecked(chunk.codec, stored, chunk, into);
    } catch (cause) {
      throw this.#asDamage(index, tensor, cause);
    }
  }

  /** The stored bytes, after a look at the zeros behind them. */
  #storedOf(index: number, padded: Uint8Array, tensor: string | undefined): Uint8Array {
    const { storedLength, storedCrc } = this.chunk(index);
    const stored = padded.subarray(0, storedLength);
    if (isAllZero(padded.subarray(storedLength))) return stored;
    // Which of two damages is named is part of the format: this one comes second.
    this.#checkSum(index, stored, storedCrc, tensor);
    throw this.#damaged(index, tensor, "the bytes behind it are not zero");
  }

  #checkSum(index: number, bytes: Uint8Array, expected: number, tensor: string | undefined): void {
    try {
      checkSum(bytes, expected);
    } catch (cause) {
      throw this.#asDamage(index, tensor, cause);
    }
  }

  /** What `decodeChecked` has found, in words that say where; anything else as it is. */
  #asDamage(index: number, tensor: string | undefined, error: unknown): unknown {
    if (!(error instanceof CairnError)) return error;
    const { code, message, cause } = error;
    if (code !== "checksum_mismatch" && code !== "invalid_container") return error;
    return this.#damaged(index, tensor, message, { code, cause });
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

function isForPool({ codec, rawLength }: ChunkRecord, pool: CodecPool | undefined): boolean {
  // Summing up a raw chunk takes no longer than copying it to where another thread sees it.
  return pool !== undefined && codec.name !== "raw" && rawLength >= MIN_POOL_BYTES;
}

/** What `work` gives, which is done now; its error comes when its turn does, which may be never. */
function jobOf<Result>(work: () => Result): PostedJob<Result> {
  try {
    const result = work();
    return { take: () => Promise.resolve(result), abandon: () => {} };
  } catch (error) {
    return failedJob(error);
  }
}

function failedJob(error: unknown): PostedJob<never> {
  return { take: () => Promise.reject(error), abandon: () => {} };
}

function withDamage(index: number, job: PostedJob<ChunkOutcome>): PostedJob<ChunkOutcome> {
  return {
    take: () => job.take().catch((error) => damagedChunk(index, error)),
    abandon: () => job.abandon(),
  };
}

/** Throws any error that is no damage. */
function damagedChunk(index: number, error: unknown): ChunkOutcome {
  if (!isDamage(error)) throw error;
  return { index, damage: error, release: () => {} };
}
