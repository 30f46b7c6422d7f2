import { Scratch } from "../base/bytes/scratch.ts";
import type { GpuProvider } from "./find_gpu.ts";
import type { RuntimeName } from "./host.ts";

/** Gives bytes as `writeBuffer` takes them, which copies them before it returns. */
export class UnsharedBytes {
  readonly #takesShared: boolean;
  readonly #copy = new Scratch();

  constructor(runtime: RuntimeName, provider: GpuProvider) {
    // Dawn in Deno crashes the process when it is given shared memory; elsewhere it was not tried.
    this.#takesShared = runtime === "bun" || (runtime === "deno" && provider === "native");
  }

  /** The bytes; where shared memory must not be given, in memory that the next call overwrites. */
  of(bytes: Uint8Array): Uint8Array {
    if (this.#takesShared || bytes.buffer instanceof ArrayBuffer) return bytes;
    const plain = this.#copy.take(bytes.byteLength);
    plain.set(bytes);
    return plain;
  }
}

/** Up to four bytes, filled up with zeros. */
export function wordOf(bytes: Uint8Array): Uint8Array {
  const word = new Uint8Array(4);
  word.set(bytes);
  return word;
}
