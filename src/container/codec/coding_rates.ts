// A chunk is coded so often even while that does not pay, to notice when it does.
const PROBE_EVERY = 64;
// So many encoded chunks say how fast coding is, by the middle one of them: the first ones are slow, and any may be
// disturbed.
const LAST_ENCODED = 5;

/** What says whether the GPU encodes what it has, measured once for a device and a choice. Rates are bytes a second. */
export interface GpuCodingRates {
  /** Raw bytes that the GPU encodes by itself. */
  readonly gpuEncode: number;
  /** Bytes that are read back from it. */
  readonly readBack: number;
  /** Raw bytes that the CPU encodes, on all threads that encode. */
  readonly cpuEncode: number;
  /** Stored bytes for each raw one of what the GPU encodes. */
  readonly gpuStoredPerRaw: number;
}

/** Rates in bytes a second, as far as something was measured. */
export interface WriteRates {
  /** Raw bytes that were encoded. */
  readonly encode?: number | undefined;
  /** Stored bytes that were durable, where the sink knows that; else that it took. */
  readonly write?: number | undefined;
  /** Stored bytes for each raw one of the chunks that were encoded. */
  readonly storedPerRaw?: number | undefined;
  /** Where there was a choice between the CPU and a GPU. */
  readonly gpu?: GpuCodingRates;
}

/** A chunk that the sink took, from one time to another in milliseconds. */
export interface WrittenChunk {
  readonly rawBytes: number;
  readonly storedBytes: number;
  readonly start: number;
  readonly end: number;
}

/** Decides, chunk by chunk and by what was measured so far, whether coding saves more time than it takes. */
export class CodingRates {
  #encodedRaw = 0;
  #encodedStored = 0;
  #encodeMs = 0;
  #writtenBytes = 0;
  #writeMs = 0;
  #sinceProbe = 0;
  /** Milliseconds for each raw byte of the chunks that were encoded last. */
  readonly #lastEncoded: number[] = [];
  /** Between the end of one write and the start of the next, less what encoding took of it. */
  #otherMs = 0;
  #otherRaw = 0;
  #lastEnd: number | undefined;

  /**
   * Whether to encode the next chunk.
   *
   * @param durable Stored bytes that the sink makes durable in a second, beside what is encoded; `undefined` where it
   * does not know.
   */
  isWorthwhile(durable?: number): boolean {
    const isFaster = durable === undefined ? this.#savesTime() : this.#isFasterBeside(durable);
    if (isFaster || ++this.#sinceProbe >= PROBE_EVERY) {
      this.#sinceProbe = 0;
      return true;
    }
    return false;
  }

  encoded(rawBytes: number, storedBytes: number, ms: number): void {
    this.#encodedRaw += rawBytes;
    this.#encodedStored += storedBytes;
    this.#encodeMs += ms;
    if (this.#lastEnd !== undefined) this.#otherMs -= ms;
    this.#lastEncoded.push(ms / rawBytes);
    if (this.#lastEncoded.length > LAST_ENCODED) this.#lastEncoded.shift();
  }

  wrote({ rawBytes, storedBytes, start, end }: WrittenChunk): void {
    this.#writtenBytes += storedBytes;
    this.#writeMs += end - start;
    if (this.#lastEnd !== undefined) {
      this.#otherMs += start - this.#lastEnd;
      this.#otherRaw += rawBytes;
    }
    this.#lastEnd = end;
  }

  /** @param durable As of {@link isWorthwhile}. */
  report(durable?: number): WriteRates {
    const taken = this.#writeMs > 0 ? (1000 * this.#writtenBytes) / this.#writeMs : undefined;
    const write = durable ?? taken;
    return {
      encode: this.#encodeMs > 0 ? (1000 * this.#encodedRaw) / this.#encodeMs : undefined,
      write,
      storedPerRaw: this.#encodedRaw > 0 ? this.#encodedStored / this.#encodedRaw : undefined,
    };
  }

  /** Where encoding and writing take turns: whether writing less saves the time that encoding takes. */
  #savesTime(): boolean {
    if (this.#encodedRaw === 0 || this.#writtenBytes === 0) return true;
    const savedMs = (this.#encodedRaw - this.#encodedStored) * (this.#writeMs / this.#writtenBytes);
    return savedMs > this.#encodeMs;
  }

  /**
   * Where the sink writes while more is encoded: whether the slower of the two is done sooner than writing everything
   * raw.
   */
  #isFasterBeside(durable: number): boolean {
    if (this.#lastEncoded.length < LAST_ENCODED) return true;
    const encodeMs = [...this.#lastEncoded].sort((a, b) => a - b)[LAST_ENCODED >>> 1] ?? 0;
    // What this thread does with a byte besides, such as to copy it and to sum it up. A pool encodes meanwhile.
    const otherMs = this.#otherRaw === 0 ? 0 : Math.max(0, this.#otherMs) / this.#otherRaw;
    const writeMs = 1000 / durable;
    const encoded = Math.max(encodeMs + otherMs, writeMs * this.#encodedStored / this.#encodedRaw);
    return encoded < Math.max(otherMs, writeMs);
  }
}
