// A chunk is coded so often even while that does not pay, to notice when it does.
const PROBE_EVERY = 64;

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
  readonly encode?: number;
  /** Stored bytes that the sink took. */
  readonly write?: number;
  /** Stored bytes for each raw one of the chunks that were encoded. */
  readonly storedPerRaw?: number;
  /** Where there was a choice between the CPU and a GPU. */
  readonly gpu?: GpuCodingRates;
}

/** Decides, chunk by chunk and by what was measured so far, whether coding saves more time than it takes. */
export class CodingRates {
  #encodedRaw = 0;
  #encodedStored = 0;
  #encodeMs = 0;
  #writtenBytes = 0;
  #writeMs = 0;
  #sinceProbe = 0;

  /** Whether to encode the next chunk. */
  isWorthwhile(): boolean {
    if (this.#encodedRaw === 0 || this.#writtenBytes === 0) return true;
    const savedMs = (this.#encodedRaw - this.#encodedStored) * (this.#writeMs / this.#writtenBytes);
    if (savedMs > this.#encodeMs || ++this.#sinceProbe >= PROBE_EVERY) {
      this.#sinceProbe = 0;
      return true;
    }
    return false;
  }

  encoded(rawBytes: number, storedBytes: number, ms: number): void {
    this.#encodedRaw += rawBytes;
    this.#encodedStored += storedBytes;
    this.#encodeMs += ms;
  }

  wrote(bytes: number, ms: number): void {
    this.#writtenBytes += bytes;
    this.#writeMs += ms;
  }

  report(): WriteRates {
    return {
      ...this.#encodeMs > 0 ? { encode: (1000 * this.#encodedRaw) / this.#encodeMs } : {},
      ...this.#writeMs > 0 ? { write: (1000 * this.#writtenBytes) / this.#writeMs } : {},
      ...this.#encodedRaw > 0 ? { storedPerRaw: this.#encodedStored / this.#encodedRaw } : {},
    };
  }
}
