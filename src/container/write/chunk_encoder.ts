import type { ChunkCut } from "../format/chunk_plan.ts";
import { candidatesFor, type CodecChoice, type EncodedChunk, encodeSmallest } from "../codec/choose.ts";
import { type CodecPool, MIN_POOL_BYTES, type PostedJob } from "../codec/codec_pool.ts";
import type { LentChunk } from "../codec/lent.ts";
import { CodingRates, type WriteRates } from "../codec/coding_rates.ts";
import type { CodecName } from "../codec/table.ts";
import type { ByteSink } from "../source.ts";

/** What a {@link ChunkEncoder} is made of. */
export interface ChunkEncoderOptions {
  /** Every choice that a cut may have. */
  readonly choices: ReadonlySet<CodecChoice>;
  readonly pool: CodecPool | undefined;
  readonly sink: ByteSink;
  /** Milliseconds that only rise. */
  readonly now: () => number;
}

/** Encodes chunks as their cuts ask for, here or in a pool, and measures what `fast` decides by. */
export class ChunkEncoder {
  readonly #candidates: ReadonlyMap<CodecChoice, readonly CodecName[]>;
  readonly #pool: CodecPool | undefined;
  readonly #sink: ByteSink;
  readonly #now: () => number;
  readonly #rates: CodingRates = new CodingRates();
  // New memory for each chunk costs more than copying it.
  readonly #spare: ArrayBuffer[] = [];
  #here = new Uint8Array(0);

  /** Throws as `candidatesFor` does for each of the choices. */
  constructor({ choices, pool, sink, now }: ChunkEncoderOptions) {
    this.#candidates = new Map([...choices].map((choice) => [choice, candidatesFor(choice)]));
    this.#pool = pool;
    this.#sink = sink;
    this.#now = now;
  }

  /** Chunks that may be under way at once. */
  get maxInFlight(): number {
    return this.#pool?.depth ?? 0;
  }

  /** The codecs to try on the next chunk; none where it is to be raw. */
  candidates({ choice }: ChunkCut): readonly CodecName[] {
    if (choice === "fast" && !this.#rates.isWorthwhile(this.#sink.durableBytesPerSecond)) return [];
    return this.#candidates.get(choice) ?? [];
  }

  /** Whether a chunk with these candidates is better encoded on another thread. */
  isForPool({ rawLength }: ChunkCut, names: readonly CodecName[]): boolean {
    return this.#pool !== undefined && names.length > 0 && rawLength >= MIN_POOL_BYTES;
  }

  /** Encodes a chunk on this thread. `stored` may be `raw` itself, and is overwritten by the next chunk. */
  encodeHere({ dtype }: ChunkCut, raw: Uint8Array, names: readonly CodecName[]): EncodedChunk {
    const start = this.#now();
    if (names.length > 0 && this.#here.byteLength < raw.byteLength) {
      this.#here = new Uint8Array(raw.byteLength);
    }
    const encoded = encodeSmallest(raw, dtype, names, this.#here);
    if (names.length > 0) this.#rates.encoded(raw.byteLength, encoded.stored.byteLength, this.#now() - start);
    return encoded;
  }

  /** Posts a copy of `raw` to the pool, while `inFlight` others are under way. */
  beginInPool(
    { dtype, rawLength }: ChunkCut,
    raw: Uint8Array,
    names: readonly CodecName[],
    inFlight: number,
  ): PostedJob<LentChunk> {
    const start = this.#now();
    const job = (this.#pool as CodecPool).beginEncode(raw, dtype, names);
    return {
      take: async () => {
        const chunk = await job.take();
        const ms = (this.#now() - start) / (inFlight + 1);
        this.#rates.encoded(rawLength, chunk.stored.byteLength, ms);
        return this.#sink.takesShared === true ? chunk : this.#plain(chunk, rawLength);
      },
      abandon: () => job.abandon(),
    };
  }

  /** The chunk in memory that is not shared, since not every sink takes any that is. */
  #plain({ release, ...chunk }: LentChunk, rawLength: number): LentChunk {
    const spare = this.#spare.pop();
    const memory = spare !== undefined && spare.byteLength >= rawLength ? spare : new ArrayBuffer(rawLength);
    const stored = new Uint8Array(memory, 0, chunk.stored.byteLength);
    stored.set(chunk.stored);
    release();
    return { ...chunk, stored, release: () => this.#spare.push(memory) };
  }

  /** Runs `write`, which gives a chunk of so many stored bytes to the sink, and takes its time. */
  async timeWrite({ rawLength }: ChunkCut, storedBytes: number, write: () => Promise<void>): Promise<void> {
    const start = this.#now();
    await write();
    this.#rates.wrote({ rawBytes: rawLength, storedBytes, start, end: this.#now() });
  }

  /** What was measured. */
  rates(): WriteRates {
    return this.#rates.report(this.#sink.durableBytesPerSecond);
  }
}
