import { CairnError } from "../../../base/errors.ts";
import type { HuffmanCode } from "./huffman.ts";

/** Reads bits from the low end of each byte, as DEFLATE packs them. Every read past the end throws. */
export class BitReader {
  readonly #bytes: Uint8Array;
  #at: number;
  #held = 0;
  #heldBits = 0;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  /** Whole bytes that were not touched yet. */
  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  /** The next `count` bits (16 at most) as a number. */
  take(count: number): number {
    this.#hold(count);
    if (this.#heldBits < count) throw ended();
    const value = this.#held & ((1 << count) - 1);
    this.#drop(count);
    return value;
  }

  /** The next symbol of a Huffman code. */
  symbol(code: HuffmanCode): number {
    this.#hold(code.maxBits);
    const entry = code.table[this.#held & (code.table.length - 1)] as number;
    const bits = entry & 15;
    if (bits === 0) {
      throw new CairnError("invalid_container", "A zlib stream is damaged: a symbol has no code");
    }
    if (bits > this.#heldBits) throw ended();
    this.#drop(bits);
    return entry >>> 4;
  }

  /** A view of the next `count` whole bytes, after dropping what is left of the current one. */
  alignedBytes(count: number): Uint8Array {
    this.#at -= this.#heldBits >>> 3;
    this.#held = 0;
    this.#heldBits = 0;
    if (count > this.remaining) throw ended();
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  #hold(count: number): void {
    while (this.#heldBits < count && this.#at < this.#bytes.length) {
      this.#held |= (this.#bytes[this.#at++] as number) << this.#heldBits;
      this.#heldBits += 8;
    }
  }

  #drop(count: number): void {
    this.#held >>>= count;
    this.#heldBits -= count;
  }
}

function ended(): CairnError {
  return new CairnError("invalid_container", "A zlib stream is damaged: it ends too early");
}
