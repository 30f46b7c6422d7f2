import { CairnError } from "../../base/errors.ts";
import { readU64, viewOf } from "../../base/little_endian.ts";
import { allocate } from "../../base/allocate.ts";
import type { ByteSource } from "../../container/source.ts";
import { quoted } from "../tensor_file.ts";
import { readZipEnd, refusal } from "./zip_end.ts";

/** One file in a zip file, as the directory at the end describes it. */
export interface ZipEntry {
  readonly name: string;
  /** The name as the file has it. */
  readonly nameBytes: Uint8Array;
  /** 0 is stored, 8 deflated. */
  readonly method: number;
  /** Why it cannot be read, if it cannot; the other entries can. */
  readonly obstacle?: string | undefined;
  readonly flags: number;
  /** CRC-32 of its bytes. */
  readonly checksum: number;
  readonly storedLength: number;
  readonly rawLength: number;
  readonly headerOffset: number;
  /** Where the next entry or the directory starts. */
  readonly limit: number;
}

const ENTRY_SIGNATURE = 0x02014b50;
const ENTRY_BYTES = 46;
const LOCAL_HEADER_BYTES = 30;
const ZIP64_FIELD = 1;
const MAX_DIRECTORY_BYTES = 100_000_000;
/** DEFLATE cannot do better. */
const MAX_DEFLATE_RATIO = 1032;
/** Compression effort, a data descriptor, names in UTF-8; encryption and patches are not among them. */
const KNOWN_FLAGS = 0b1000_0000_1110;
const HAS_UTF8_NAME = 0b1000_0000_0000;
const U32 = 0xffff_ffff;
/** From byte 128 on. */
const CODE_PAGE_437 = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧" +
  "╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0";

/**
 * Reads and checks the directory of a zip file, which is at its end. Entries must not share bytes, so that a file is
 * no larger inside than its size can pay for. What is in front of the file, or between entries, is ignored.
 */
export async function readZipDirectory(source: ByteSource): Promise<ReadonlyMap<string, ZipEntry>> {
  const end = await readZipEnd(source);
  if (end.byteLength > MAX_DIRECTORY_BYTES) {
    throw refusal(
      "limit_exceeded",
      `its directory has ${end.byteLength} bytes; ${MAX_DIRECTORY_BYTES} is the most`,
    );
  }
  const directory = allocate(end.byteLength);
  await source.read(end.offset, directory);
  const entries: Omit<ZipEntry, "limit">[] = [];
  let at = 0;
  while (at < directory.byteLength) {
    const { entry, byteLength } = parseEntry(directory.subarray(at), end.precedingBytes);
    entries.push(entry);
    at += byteLength;
  }
  if (entries.length !== end.count) {
    throw refusal("invalid_file", `its directory has ${entries.length} entries, expected ${end.count}`);
  }
  return withLimits(entries, end.offset);
}

function parseEntry(
  bytes: Uint8Array,
  precedingBytes: number,
): { entry: Omit<ZipEntry, "limit">; byteLength: number } {
  const view = viewOf(bytes);
  if (bytes.byteLength < ENTRY_BYTES || view.getUint32(0, true) !== ENTRY_SIGNATURE) {
    throw refusal("invalid_file", "its directory is damaged");
  }
  const nameEnd = ENTRY_BYTES + view.getUint16(28, true);
  const extraEnd = nameEnd + view.getUint16(30, true);
  const byteLength = extraEnd + view.getUint16(32, true);
  if (byteLength > bytes.byteLength) throw refusal("invalid_file", "its directory is damaged");
  const flags = view.getUint16(8, true);
  const method = view.getUint16(10, true);
  const nameBytes = bytes.slice(ENTRY_BYTES, nameEnd);
  const name = decodeName(nameBytes, (flags & HAS_UTF8_NAME) !== 0);
  const obstacle = (flags & ~KNOWN_FLAGS) !== 0
    ? "is encrypted or has unknown flags"
    : method !== 0 && method !== 8
    ? `is compressed by method ${method}, expected 0 (stored) or 8 (deflated)`
    : undefined;
  const sizes = readSizes(name, view, bytes.subarray(nameEnd, extraEnd), precedingBytes);
  const entry = {
    name,
    nameBytes,
    method,
    obstacle,
    flags,
    checksum: view.getUint32(16, true),
    ...sizes,
  };
  checkLengths(entry);
  return { entry, byteLength };
}

/** Lengths and offset; each that is full in the entry stands in its zip64 field, in this order. */
function readSizes(
  name: string,
  view: DataView,
  extra: Uint8Array,
  precedingBytes: number,
): { rawLength: number; storedLength: number; headerOffset: number } {
  const long = zip64Field(name, extra);
  let at = 0;
  const take = (short: number): number => {
    if (short !== U32) return short;
    if (long === undefined || at + 8 > long.byteLength) {
      throw refusal("invalid_file", `${quoted(name)} has no zip64 field for its lengths`);
    }
    at += 8;
    return readU64(viewOf(long), at - 8);
  };
  const rawLength = take(view.getUint32(24, true));
  const storedLength = take(view.getUint32(20, true));
  const headerOffset = take(view.getUint32(42, true)) + precedingBytes;
  return { rawLength, storedLength, headerOffset };
}

function zip64Field(name: string, extra: Uint8Array): Uint8Array | undefined {
  const view = viewOf(extra);
  let found: Uint8Array | undefined;
  for (let at = 0; at + 4 <= extra.byteLength;) {
    const end = at + 4 + view.getUint16(at + 2, true);
    if (end > extra.byteLength) throw refusal("invalid_file", `${quoted(name)} has a damaged extra field`);
    if (view.getUint16(at, true) === ZIP64_FIELD) found ??= extra.subarray(at + 4, end);
    at = end;
  }
  return found;
}

function checkLengths(
  { name, method, obstacle, rawLength, storedLength, headerOffset }: Omit<ZipEntry, "limit">,
): void {
  if (![rawLength, storedLength, headerOffset].every(Number.isSafeInteger)) {
    throw refusal("invalid_file", `${quoted(name)} has lengths that no file can have`);
  }
  if (obstacle !== undefined) return;
  if (method === 0 && rawLength !== storedLength) {
    throw refusal(
      "invalid_file",
      `${quoted(name)} is stored, but has ${storedLength} bytes for ${rawLength}`,
    );
  }
  if (rawLength > storedLength * MAX_DEFLATE_RATIO) {
    throw refusal("invalid_file", `${quoted(name)} promises ${rawLength} bytes from ${storedLength}`);
  }
}

/** Entries by name, each with the place where it has to be over. */
function withLimits(
  entries: readonly Omit<ZipEntry, "limit">[],
  directoryOffset: number,
): Map<string, ZipEntry> {
  const limits = new Map<object, number>();
  let limit = directoryOffset;
  for (const entry of [...entries].sort((a, b) => b.headerOffset - a.headerOffset)) {
    const { byteLength } = entry.nameBytes;
    if (entry.headerOffset + LOCAL_HEADER_BYTES + byteLength + entry.storedLength > limit) {
      throw refusal("invalid_file", `${quoted(entry.name)} shares bytes with what follows it`);
    }
    limits.set(entry, limit);
    limit = entry.headerOffset;
  }
  const byName = new Map<string, ZipEntry>();
  for (const entry of entries) {
    if (byName.has(entry.name)) throw refusal("invalid_file", `${quoted(entry.name)} is in it twice`);
    byName.set(entry.name, { ...entry, limit: limits.get(entry) as number });
  }
  return byName;
}

/** Without the flag that says UTF-8 a name is of the code page of the first PCs, if it is no UTF-8 all the same. */
function decodeName(bytes: Uint8Array, isUtf8: boolean): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    if (!isUtf8) {
      return Array.from(bytes, (byte) => CODE_PAGE_437[byte - 128] ?? String.fromCharCode(byte)).join("");
    }
    throw new CairnError("invalid_file", "This is no readable zip file: a name in it is not UTF-8", {
      cause,
    });
  }
}
