import { crc32 } from "../../base/crc32/crc32.ts";
import { viewOf, writeU64 } from "../../base/little_endian.ts";
import type { ByteSink } from "../../container/source.ts";

const U16 = 0xffff;
const U32 = 0xffff_ffff;
const DESCRIPTOR_AND_UTF8 = 0x808;
const VERSION = 45;
// 1 January 1980, the first day that zip can say: the same tensors give the same file.
const FIRST_DAY = 0x21;

interface Written {
  readonly name: Uint8Array;
  readonly method: number;
  readonly checksum: number;
  readonly storedLength: number;
  readonly rawLength: number;
  readonly headerOffset: number;
}

/**
 * Writes a zip file front to back. Checksums follow the bytes, so that nothing has to be known beforehand but
 * lengths.
 */
export class ZipWriter {
  readonly #sink: ByteSink;
  readonly #entries: Written[] = [];
  #offset = 0;

  constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  /** How many bytes were written so far. */
  get byteLength(): number {
    return this.#offset;
  }

  /** An entry as it is: exactly `byteLength` bytes, which `write` hands over piece by piece. */
  async store(name: string, byteLength: number, write: (sink: ByteSink) => Promise<void>): Promise<void> {
    let checksum = 0;
    await this.#entry(
      name,
      0,
      { storedLength: byteLength, rawLength: byteLength },
      () => checksum,
      async (sink) => {
        await write({
          write: async (bytes) => {
            checksum = crc32(bytes, checksum);
            await sink.write(bytes);
          },
        });
      },
    );
  }

  /** An entry whose bytes were compressed before; checksum and length are those of the raw ones. */
  async storeDeflated(
    name: string,
    stream: Uint8Array,
    raw: { checksum: number; rawLength: number },
  ): Promise<void> {
    const lengths = { storedLength: stream.byteLength, rawLength: raw.rawLength };
    await this.#entry(name, 8, lengths, () => raw.checksum, (sink) => sink.write(stream));
  }

  /** Writes the directory. Nothing can follow. */
  async finish(): Promise<void> {
    const start = this.#offset;
    for (const entry of this.#entries) await this.#write(directoryEntry(entry));
    await this.#write(directoryEnd(this.#entries.length, start, this.#offset - start));
  }

  async #entry(
    nameText: string,
    method: number,
    lengths: { readonly storedLength: number; readonly rawLength: number },
    checksum: () => number,
    write: (sink: ByteSink) => Promise<void>,
  ): Promise<void> {
    const headerOffset = this.#offset;
    const name = new TextEncoder().encode(nameText);
    if (name.byteLength > U16) {
      throw new RangeError(`A name of ${name.byteLength} bytes does not fit in a zip file`);
    }
    const { storedLength, rawLength } = lengths;
    // The lengths behind the bytes are then 64 bits wide, and the header has to say so.
    const isLong = Math.max(storedLength, rawLength) >= U32;
    await this.#write(localHeader(name, method, isLong));
    const start = this.#offset;
    await write({ write: (bytes) => this.#write(bytes) });
    if (this.#offset - start !== storedLength) {
      throw new RangeError(`${nameText} has ${this.#offset - start} bytes, expected ${storedLength}`);
    }
    const entry = { name, method, storedLength, rawLength, headerOffset, checksum: checksum() };
    await this.#write(descriptor(entry, isLong));
    this.#entries.push(entry);
  }

  async #write(bytes: Uint8Array): Promise<void> {
    await this.#sink.write(bytes);
    this.#offset += bytes.byteLength;
  }
}

function localHeader(name: Uint8Array, method: number, isLong: boolean): Uint8Array {
  const bytes = new Uint8Array(30 + name.byteLength + (isLong ? 20 : 0));
  const view = viewOf(bytes);
  view.setUint32(0, 0x04034b50, true);
  view.setUint16(4, VERSION, true);
  view.setUint16(6, DESCRIPTOR_AND_UTF8, true);
  view.setUint16(8, method, true);
  view.setUint16(12, FIRST_DAY, true);
  view.setUint16(26, name.byteLength, true);
  bytes.set(name, 30);
  if (!isLong) return bytes;
  view.setUint32(18, U32, true);
  view.setUint32(22, U32, true);
  view.setUint16(28, 20, true);
  view.setUint16(30 + name.byteLength, 1, true);
  view.setUint16(32 + name.byteLength, 16, true);
  return bytes;
}

function descriptor({ checksum, storedLength, rawLength }: Written, isLong: boolean): Uint8Array {
  const bytes = new Uint8Array(isLong ? 24 : 16);
  const view = viewOf(bytes);
  view.setUint32(0, 0x08074b50, true);
  view.setUint32(4, checksum, true);
  if (isLong) {
    writeU64(view, 8, storedLength);
    writeU64(view, 16, rawLength);
  } else {
    view.setUint32(8, storedLength, true);
    view.setUint32(12, rawLength, true);
  }
  return bytes;
}

function directoryEntry(
  { name, method, checksum, storedLength, rawLength, headerOffset }: Written,
): Uint8Array {
  const long = [rawLength, storedLength, headerOffset].filter((value) => value >= U32);
  const extraBytes = long.length === 0 ? 0 : 4 + 8 * long.length;
  const bytes = new Uint8Array(46 + name.byteLength + extraBytes);
  const view = viewOf(bytes);
  view.setUint32(0, 0x02014b50, true);
  view.setUint16(4, VERSION, true);
  view.setUint16(6, VERSION, true);
  view.setUint16(8, DESCRIPTOR_AND_UTF8, true);
  view.setUint16(10, method, true);
  view.setUint16(14, FIRST_DAY, true);
  view.setUint32(16, checksum, true);
  view.setUint32(20, Math.min(storedLength, U32), true);
  view.setUint32(24, Math.min(rawLength, U32), true);
  view.setUint16(28, name.byteLength, true);
  view.setUint16(30, extraBytes, true);
  view.setUint32(42, Math.min(headerOffset, U32), true);
  bytes.set(name, 46);
  if (extraBytes === 0) return bytes;
  const at = 46 + name.byteLength;
  view.setUint16(at, 1, true);
  view.setUint16(at + 2, 8 * long.length, true);
  for (const [i, value] of long.entries()) writeU64(view, at + 4 + 8 * i, value);
  return bytes;
}

/** The end, with the 64-bit record in front where the short one is too small. */
function directoryEnd(count: number, offset: number, byteLength: number): Uint8Array {
  const isLong = count >= U16 || offset >= U32 || byteLength >= U32;
  const bytes = new Uint8Array(isLong ? 98 : 22);
  const view = viewOf(bytes);
  if (isLong) {
    view.setUint32(0, 0x06064b50, true);
    writeU64(view, 4, 44);
    view.setUint16(12, VERSION, true);
    view.setUint16(14, VERSION, true);
    writeU64(view, 24, count);
    writeU64(view, 32, count);
    writeU64(view, 40, byteLength);
    writeU64(view, 48, offset);
    view.setUint32(56, 0x07064b50, true);
    writeU64(view, 64, offset + byteLength);
    view.setUint32(72, 1, true);
  }
  const at = bytes.byteLength - 22;
  view.setUint32(at, 0x06054b50, true);
  view.setUint16(at + 8, Math.min(count, U16), true);
  view.setUint16(at + 10, Math.min(count, U16), true);
  view.setUint32(at + 12, Math.min(byteLength, U32), true);
  view.setUint32(at + 16, Math.min(offset, U32), true);
  return bytes;
}
