import type { GpuProvider } from "./find_gpu.ts";
import type { RuntimeName } from "./host.ts";

/** Gives bytes as `writeBuffer` takes them, which copies them before it returns. */
export class UnsharedBytes {
  readonly #takesShared: boolean;
  /** New memory for each copy would take longer. */
  #copy: Uint8Array = new Uint8Array(0);

  constructor(runtime: RuntimeName, provider: GpuProvider) {
    // Dawn in Deno crashes the process when it is given shared memory; elsewhere it was not tried.
    this.#takesShared = runtime === "bun" || (runtime === "deno" && provider === "native");
  }

  /** The bytes; where shared memory must not be given, in memory that the next call overwrites. */
  of(bytes: Uint8Array): Uint8Array {
    if (this.#takesShared || bytes.buffer instanceof ArrayBuffer) return bytes;
    if (this.#copy.byteLength < bytes.byteLength) this.#copy = new Uint8Array(bytes.byteLength);
    const plain = this.#copy.subarray(0, bytes.byteLength);
    plain.set(bytes);
    return plain;
  }
}
