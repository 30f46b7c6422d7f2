import { CairnError } from "../../base/errors.ts";
import { readU64, viewOf } from "../../base/little_endian.ts";

/** Reads the bytes of a pickle, front to back. Every read past the end throws. */
export class PickleReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
  }

  /** Where the next byte is. */
  get offset(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.#bytes.byteLength - this.#at;
  }

  u8(): number {
    return this.#view.getUint8(this.#skip(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#skip(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#skip(4), true);
  }

  /** A number that is not exact is a length that no pickle has. */
  u64(): number {
    return readU64(this.#view, this.#skip(8));
  }

  i32(): number {
    return this.#view.getInt32(this.#skip(4), true);
  }

  /** Floats alone are big-endian in a pickle. */
  f64(): number {
    return this.#view.getFloat64(this.#skip(8), false);
  }

  bytes(count: number): Uint8Array {
    const start = this.#skip(count);
    return this.#bytes.subarray(start, start + count);
  }

  text(byteLength: number): string {
    return decodeText(this.bytes(byteLength));
  }

  /** Text up to the next line end, which is taken and not given back. */
  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0) throw this.#ended();
    const text = this.text(end - this.#at);
    this.#skip(1);
    return text;
  }

  #skip(count: number): number {
    if (count > this.remaining) throw this.#ended();
    this.#at += count;
    return this.#at - count;
  }

  #ended(): CairnError {
    return new CairnError("truncated", `The pickle ends too early, after ${this.#bytes.byteLength} bytes`);
  }
}

/**
 * UTF-8 as Python writes it in pickles: half a surrogate pair, as file names there may have, is three bytes of its
 * own.
 */
function decodeText(bytes: Uint8Array): string {
  let text = "";
  let start = 0;
  for (let at = bytes.indexOf(0xed); at >= 0; at = bytes.indexOf(0xed, at + 1)) {
    const [high = 0, low = 0] = bytes.subarray(at + 1, at + 3);
    if (high >> 5 !== 0b101 || low >> 6 !== 0b10) continue;
    text += decodeStrictly(bytes.subarray(start, at)) +
      String.fromCharCode(0xd000 | ((high & 0x3f) << 6) | (low & 0x3f));
    start = at + 3;
  }
  return text + decodeStrictly(bytes.subarray(start));
}

function decodeStrictly(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new CairnError("invalid_file", "A text in the pickle is not UTF-8", { cause });
  }
}
