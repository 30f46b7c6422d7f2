import { allocate } from "../allocate.ts";

/**
 * Memory for one thing after the other: new memory costs more than filling it, since the system hands it out page by
 * page.
 */
export class Scratch {
  #bytes: Uint8Array = new Uint8Array(0);

  /** Bytes that it holds on to. */
  get byteLength(): number {
    return this.#bytes.byteLength;
  }

  /** `byteLength` bytes with whatever is in them: the same ones as at the call before. Throws as `allocate`. */
  take(byteLength: number): Uint8Array {
    if (this.#bytes.byteLength < byteLength) this.#bytes = allocate(byteLength);
    return this.#bytes.subarray(0, byteLength);
  }
}
