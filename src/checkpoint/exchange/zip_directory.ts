import { CairnError, type CairnErrorCode } from "../../base/errors.ts";
import { readU64, viewOf } from "../../base/little_endian.ts";
import { allocate } from "../../base/allocate.ts";
import type { ByteSource } from "../../container/source.ts";
import { quoted } from "./tensor_file.ts";

/** One file in a zip file, as the directory at the end describes it. */
export interface ZipEntry {
  readonly name: string;
  readonly isDeflated: boolean;
  readonly flags: number;
  /** CRC-32 of its bytes. */
  readonly checksum: number;
  readonly storedLength: number;
  readonly rawLength: number;
  readonly headerOffset: number;
  /** Where the next entry or the directory starts. */
  readonly limit: number;
}

const END_SIGNATURE = 0x06054b50;
const END_BYTES = 22;
const LOCATOR_SIGNATURE = 0x07064b50;
const LOCATOR_BYTES = 20;
const END64_SIGNATURE = 0x06064b50;
const END64_BYTES = 56;
const ENTRY_SIGNATURE = 0x02014b50;
const ENTRY_BYTES = 46;
const LOCAL_HEADER_BYTES = 30;
const ZIP64_FIELD = 1;
const MAX_DIRECTORY_BYTES = 100_000_000;
/** DEFLATE cannot do better. */
const MAX_DEFLATE_RATIO = 1032;
/** Compression effort, a data descriptor, names in UTF-8; encryption and patches are not among them. */
const KNOWN_FLAGS = 0b1000_0000_1110;
const U16 = 0xffff;
const U32 = 0xffff_ffff;

interface End {
  readonly count: number;
  readonly offset: number;
  readonly byteLength: number;
}

/**
 * Reads and checks the directory of a zip file. It has to be the last thing in the file, the first entry the first, and
 * entries must not share bytes: so a file is a zip file only, and no larger inside than its size can pay for.
 */
export async function readZipDirectory(source: ByteSource): Promise<ReadonlyMap<string, ZipEntry>> {
  const end = await readEnd(source);
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
    const { entry, byteLength } = parseEntry(directory.subarray(at));
    entries.push(entry);
    at += byteLength;
  }
  if (entries.length !== end.count) {
    throw refusal("invalid_file", `its directory has ${entries.length} entries, expected ${end.count}`);
  }
  return withLimits(entries, end.offset);
}

async function readEnd(source: ByteSource): Promise<End> {
  const length = Math.min(source.byteLength, END_BYTES + LOCATOR_BYTES + END64_BYTES);
  if (length < END_BYTES) {
    throw refusal("truncated", `it has ${source.byteLength} bytes, expected ${END_BYTES} or more`);
  }
  const tail = new Uint8Array(length);
  await source.read(source.byteLength - length, tail);
  const view = viewOf(tail);
  const at = length - END_BYTES;
  if (view.getUint32(at, true) !== END_SIGNATURE || view.getUint16(at + 20, true) !== 0) {
    throw refusal("invalid_file", "it does not end as one; it may be cut off, or something follows it");
  }
  const disks = [4, 6].some((offset) => view.getUint16(at + offset, true) !== 0);
  if (disks) throw refusal("unsupported", "it is one of several parts");
  const count = view.getUint16(at + 8, true);
  const byteLength = view.getUint32(at + 12, true);
  const offset = view.getUint32(at + 16, true);
  if (view.getUint16(at + 10, true) !== count) throw refusal("unsupported", "it is one of several parts");
  const hasLocator = at >= LOCATOR_BYTES + END64_BYTES &&
    view.getUint32(at - LOCATOR_BYTES, true) === LOCATOR_SIGNATURE;
  const end = hasLocator
    ? readEnd64(view, source.byteLength, { count, offset, byteLength })
    : { count, offset, byteLength };
  const expected = source.byteLength - END_BYTES - (hasLocator ? LOCATOR_BYTES + END64_BYTES : 0);
  if (end.offset + end.byteLength !== expected) {
    throw refusal(
      "invalid_file",
      `its directory ends at byte ${end.offset + end.byteLength}, expected ${expected}`,
    );
  }
  return end;
}

/** The record with 64-bit lengths in front of the end, which wins where the short one is full and agrees elsewhere. */
function readEnd64(view: DataView, fileLength: number, short: End): End {
  const at = view.byteLength - END_BYTES - LOCATOR_BYTES - END64_BYTES;
  const isInPlace = readU64(view, at + END64_BYTES + 8) === fileLength - (view.byteLength - at) &&
    view.getUint32(at, true) === END64_SIGNATURE && readU64(view, at + 4) === END64_BYTES - 12;
  const isWhole = view.getUint32(at + 16, true) === 0 && view.getUint32(at + 20, true) === 0 &&
    readU64(view, at + 24) === readU64(view, at + 32);
  const end = {
    count: readU64(view, at + 32),
    byteLength: readU64(view, at + 40),
    offset: readU64(view, at + 48),
  };
  const agrees = (short.count === U16 || short.count === end.count) &&
    (short.byteLength === U32 || short.byteLength === end.byteLength) &&
    (short.offset === U32 || short.offset === end.offset);
  if (!isInPlace || !isWhole || !agrees) throw refusal("invalid_file", "its two ends do not agree");
  return end;
}

function parseEntry(bytes: Uint8Array): { entry: Omit<ZipEntry, "limit">; byteLength: number } {
  const view = viewOf(bytes);
  if (bytes.byteLength < ENTRY_BYTES || view.getUint32(0, true) !== ENTRY_SIGNATURE) {
    throw refusal("invalid_file", "its directory is damaged");
  }
  const nameEnd = ENTRY_BYTES + view.getUint16(28, true);
  const extraEnd = nameEnd + view.getUint16(30, true);
  const byteLength = extraEnd + view.getUint16(32, true);
  if (byteLength > bytes.byteLength) throw refusal("invalid_file", "its directory is damaged");
  const name = decodeName(bytes.subarray(ENTRY_BYTES, nameEnd));
  const flags = view.getUint16(8, true);
  const method = view.getUint16(10, true);
  if ((flags & ~KNOWN_FLAGS) !== 0) {
    throw refusal("unsupported", `${quoted(name)} is encrypted or has unknown flags`);
  }
  if (method !== 0 && method !== 8) {
    throw refusal(
      "unsupported",
      `${quoted(name)} is compressed by method ${method}, expected 0 (stored) or 8 (deflated)`,
    );
  }
  const sizes = readSizes(name, view, bytes.subarray(nameEnd, extraEnd));
  const entry = { name, isDeflated: method === 8, flags, checksum: view.getUint32(16, true), ...sizes };
  checkLengths(entry);
  return { entry, byteLength };
}

/** Lengths and offset; each that is full in the entry stands in its zip64 field, in this order. */
function readSizes(
  name: string,
  view: DataView,
  extra: Uint8Array,
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
  const headerOffset = take(view.getUint32(42, true));
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
  { name, isDeflated, rawLength, storedLength, headerOffset }: Omit<ZipEntry, "limit">,
): void {
  if (![rawLength, storedLength, headerOffset].every(Number.isSafeInteger)) {
    throw refusal("invalid_file", `${quoted(name)} has lengths that no file can have`);
  }
  if (!isDeflated && rawLength !== storedLength) {
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
    const nameBytes = new TextEncoder().encode(entry.name).byteLength;
    if (entry.headerOffset + LOCAL_HEADER_BYTES + nameBytes + entry.storedLength > limit) {
      throw refusal("invalid_file", `${quoted(entry.name)} shares bytes with what follows it`);
    }
    limits.set(entry, limit);
    limit = entry.headerOffset;
  }
  if (limit !== 0) throw refusal("invalid_file", `${limit} bytes precede its first entry`);
  const byName = new Map<string, ZipEntry>();
  for (const entry of entries) {
    if (byName.has(entry.name)) throw refusal("invalid_file", `${quoted(entry.name)} is in it twice`);
    byName.set(entry.name, { ...entry, limit: limits.get(entry) as number });
  }
  return byName;
}

function decodeName(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new CairnError("invalid_file", "This is no readable zip file: a name in it is not UTF-8", {
      cause,
    });
  }
}

function refusal(code: CairnErrorCode, problem: string): CairnError {
  return new CairnError(code, `This is no readable zip file: ${problem}`);
}
