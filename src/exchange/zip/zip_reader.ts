import { hexOf } from "../../base/hex.ts";
import { crc32 } from "../../base/crc32/crc32.ts";
import { CairnError } from "../../base/errors.ts";
import { viewOf } from "../../base/little_endian.ts";
import { allocate } from "../../base/allocate.ts";
import { inflateRawStart } from "../../container/codec/deflate/inflate.ts";
import type { ByteSource } from "../../container/source.ts";
import { DEFAULT_MAX_BYTES, quoted, tooLarge } from "../tensor_file.ts";
import { readZipDirectory, type ZipEntry } from "./zip_directory.ts";
import { inflateRaw } from "./zip_deflate.ts";

const LOCAL_SIGNATURE = 0x04034b50;
const LOCAL_HEADER_BYTES = 30;
const HAS_DESCRIPTOR = 8;
// A data descriptor has or has no signature, and lengths of 4 or 8 bytes.
const DESCRIPTOR_BYTES = [0, 12, 16, 20, 24];

/**
 * A zip file, open. The directory at the end of the file is the only one, entries do not overlap, and what their own
 * headers say is compared with it. Entries that are stored or deflated are read; others are listed.
 */
export class ZipReader {
  /** In the order of the directory. */
  readonly entries: ReadonlyMap<string, ZipEntry>;
  readonly #source: ByteSource;

  private constructor(source: ByteSource, entries: ReadonlyMap<string, ZipEntry>) {
    this.#source = source;
    this.entries = entries;
  }

  /** Throws `CairnError` with `truncated`, `invalid_file`, `unsupported` or `limit_exceeded`. */
  static async open(source: ByteSource): Promise<ZipReader> {
    return new ZipReader(source, await readZipDirectory(source));
  }

  /**
   * All bytes of an entry, checked.
   * @throws CairnError `checksum_mismatch`, `invalid_file`, `unsupported`; `limit_exceeded` above `maxBytes`.
   */
  async read(entry: ZipEntry, maxBytes: number = DEFAULT_MAX_BYTES): Promise<Uint8Array> {
    const start = await this.#dataOffset(entry);
    if (entry.rawLength > maxBytes) {
      throw tooLarge(`${quoted(entry.name)} of the zip file`, entry.rawLength, maxBytes);
    }
    const stored = allocate(entry.storedLength);
    await this.#source.read(start, stored);
    const raw = entry.method === 8 ? inflate(entry, stored) : stored;
    const checksum = crc32(raw);
    if (checksum === entry.checksum) return raw;
    throw new CairnError(
      "checksum_mismatch",
      `Cannot read ${quoted(entry.name)} of the zip file: its checksum is ${hexOf(checksum)}, expected ${
        hexOf(entry.checksum)
      }; the file is damaged there`,
    );
  }

  /**
   * An entry as a source, of which no checksum is compared. One that is stored is read where it lies; of one that is
   * deflated only the first `startBytes` are to be had.
   */
  async source(entry: ZipEntry, startBytes: number = entry.rawLength): Promise<ByteSource> {
    const start = await this.#dataOffset(entry);
    const inflated = entry.method === 8 ? await this.#inflatedStart(entry, start, startBytes) : undefined;
    return {
      byteLength: entry.rawLength,
      read: async (offset, into) => {
        const end = offset + into.byteLength;
        if (end > (inflated?.byteLength ?? entry.rawLength)) {
          const there = Math.min(inflated?.byteLength ?? Infinity, entry.rawLength);
          throw new CairnError(
            "truncated",
            `${quoted(entry.name)} of the zip file ends after ${there} bytes`,
          );
        }
        if (inflated === undefined) await this.#source.read(start + offset, into);
        else into.set(inflated.subarray(offset, end));
      },
    };
  }

  async #inflatedStart(entry: ZipEntry, start: number, byteLength: number): Promise<Uint8Array> {
    const wanted = Math.min(byteLength, entry.rawLength);
    // What does not compress gets longer, by little.
    const stored = allocate(Math.min(entry.storedLength, wanted + (wanted >> 3) + 1024));
    await this.#source.read(start, stored);
    return inflateRawStart(stored, wanted).subarray(0, wanted);
  }

  async close(): Promise<void> {
    await this.#source.close?.();
  }

  /** Where the entry's bytes start, behind its own header, which has to agree with the directory. */
  async #dataOffset(entry: ZipEntry): Promise<number> {
    if (entry.obstacle !== undefined) {
      throw new CairnError(
        "unsupported",
        `In the zip file ${quoted(entry.name)} ${entry.obstacle}; the others can be read`,
      );
    }
    const name = entry.nameBytes;
    const header = new Uint8Array(LOCAL_HEADER_BYTES + name.byteLength);
    await this.#source.read(entry.headerOffset, header);
    const view = viewOf(header);
    const flags = view.getUint16(6, true);
    const agrees = view.getUint32(0, true) === LOCAL_SIGNATURE && flags === entry.flags &&
      view.getUint16(8, true) === entry.method &&
      view.getUint16(26, true) === name.byteLength &&
      name.every((byte, i) => byte === header[LOCAL_HEADER_BYTES + i]);
    if (!agrees) throw disagree(entry, "another signature, flags, method or name");
    const hasDescriptor = (flags & HAS_DESCRIPTOR) !== 0;
    if (!hasDescriptor) checkLocalSizes(entry, view);
    const start = entry.headerOffset + LOCAL_HEADER_BYTES + name.byteLength + view.getUint16(28, true);
    const gap = entry.limit - (start + entry.storedLength);
    // What is longer than every descriptor belongs to no entry, such as padding.
    const isBehind = gap === 0 || gap > Math.max(...DESCRIPTOR_BYTES) || DESCRIPTOR_BYTES.includes(gap);
    if (hasDescriptor ? !isBehind : gap < 0) {
      throw disagree(entry, `a length that leaves ${gap} bytes up to the next entry`);
    }
    return start;
  }
}

/** Without a data descriptor the entry's own header has the same figures, or says that a longer field has them. */
function checkLocalSizes(entry: ZipEntry, view: DataView): void {
  const figures = [[14, entry.checksum], [18, entry.storedLength], [22, entry.rawLength]] as const;
  for (const [at, expected] of figures) {
    const found = view.getUint32(at, true);
    if (found === expected || (at !== 14 && found === 0xffff_ffff)) continue;
    throw disagree(entry, `${found} where the directory has ${expected}`);
  }
}

function inflate(entry: ZipEntry, stored: Uint8Array): Uint8Array {
  try {
    return inflateRaw(stored, entry.rawLength);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CairnError("invalid_file", `Cannot read ${quoted(entry.name)} of the zip file: ${reason}`, {
      cause,
    });
  }
}

function disagree(entry: ZipEntry, problem: string): CairnError {
  return new CairnError(
    "invalid_file",
    `Cannot read ${
      quoted(entry.name)
    } of the zip file: its header has ${problem}; the file is damaged or forged`,
  );
}
