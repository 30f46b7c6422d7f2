import type { ChunkCut } from "./chunk_plan.ts";
import { candidatesFor, type CodecChoice, type EncodedChunk, encodeSmallest } from "./codec/choose.ts";
import type { CodecPool } from "./codec/codec_pool.ts";
import { CodingRates, type WriteRates } from "./codec/coding_rates.ts";
import type { CodecName } from "./codec/table.ts";

// Sending a smaller chunk to another thread takes longer than encoding it.
const MIN_POOL_BYTES = 64 * 1024;

/** What a {@link ChunkEncoder} is made of. */
export interface ChunkEncoderOptions {
  /** Every choice that a cut may have. */
  readonly choices: ReadonlySet<CodecChoice>;
  readonly pool: CodecPool | undefined;
  /** Milliseconds that only rise. */
  readonly now: () => number;
}

/** Encodes chunks as their cuts ask for, here or in a pool, and measures what `fast` decides by. */
export class ChunkEncoder {
  readonly #candidates: ReadonlyMap<CodecChoice, readonly CodecName[]>;
  readonly #pool: CodecPool | undefined;
  readonly #now: () => number;
  readonly #rates: CodingRates = new CodingRates();

  /** Throws as `candidatesFor` does for each of the choices. */
  constructor({ choices, pool, now }: ChunkEncoderOptions) {
    this.#candidates = new Map([...choices].map((choice) => [choice, candidatesFor(choice)]));
    this.#pool = pool;
    this.#now = now;
  }

  /** Chunks that may be under way at once: two for each thread, so that none has to wait for the next. */
  get maxInFlight(): number {
    return this.#pool === undefined ? 0 : 2 * this.#pool.size;
  }

  /** The codecs to try on the next chunk; none where it is to be raw. */
  candidates({ choice }: ChunkCut): readonly CodecName[] {
    if (choice === "fast" && !this.#rates.isWorthwhile()) return [];
    return this.#candidates.get(choice) ?? [];
  }

  /** Whether a chunk with these candidates is better encoded on another thread. */
  isForPool({ rawLength }: ChunkCut, names: readonly CodecName[]): boolean {
    return this.#pool !== undefined && names.length > 0 && rawLength >= MIN_POOL_BYTES;
  }

  /** Encodes a chunk on this thread. `stored` may be `raw` itself. */
  encodeHere({ dtype }: ChunkCut, raw: Uint8Array, names: readonly CodecName[]): EncodedChunk {
    const start = this.#now();
    const encoded = encodeSmallest(raw, dtype, names);
    if (names.length > 0) this.#rates.encoded(raw.byteLength, encoded.stored.byteLength, this.#now() - start);
    return encoded;
  }

  /** Encodes a copy of `raw` in the pool, while `inFlight` others are under way. */
  async encodeInPool(
    { dtype, rawLength }: ChunkCut,
    raw: Uint8Array,
    names: readonly CodecName[],
    inFlight: number,
  ): Promise<EncodedChunk> {
    const start = this.#now();
    const encoded = await (this.#pool as CodecPool).encode(raw.slice(), dtype, names);
    this.#rates.encoded(rawLength, encoded.stored.byteLength, (this.#now() - start) / (inFlight + 1));
    return encoded;
  }

  /** Runs `write`, which gives `bytes` to the sink, and takes its time. */
  async timeWrite(bytes: number, write: () => Promise<void>): Promise<void> {
    const start = this.#now();
    await write();
    this.#rates.wrote(bytes, this.#now() - start);
  }

  /** What was measured. */
  rates(): WriteRates {
    return this.#rates.report();
  }
}
