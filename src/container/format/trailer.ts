import { hexOf } from "../../base/hex.ts";
import { alignUp } from "../../base/checked.ts";
import { crc32 } from "../../base/crc32/crc32.ts";
import { CairnError } from "../../base/errors.ts";
import { readU64, viewOf, writeU64 } from "../../base/little_endian.ts";
import { DATA_OFFSET, type Header } from "./header.ts";

/** Length of the trailer, the last bytes of a file. */
export const TRAILER_BYTES = 128;
/** Chunks and sections start at multiples of this; the bytes between are zero. */
export const FILE_ALIGNMENT = 64;

// "\x89CRNEND\n"
const END_MAGIC = Uint8Array.of(0x89, 0x43, 0x52, 0x4e, 0x45, 0x4e, 0x44, 0x0a);
const SECTION_NAMES = ["tensor table", "chunk table", "reference table", "manifest"] as const;

/** Where a section is, what its bytes sum up to, and how many records it has (0 for the manifest). */
export interface Section {
  readonly offset: number;
  readonly byteLength: number;
  readonly crc: number;
  readonly count: number;
}

/** What a trailer says. */
export interface Trailer {
  readonly tensors: Section;
  readonly chunks: Section;
  readonly references: Section;
  readonly manifest: Section;
  readonly fileByteLength: number;
  readonly rawByteLength: number;
  readonly headerCrc: number;
}

/** The last 128 bytes of a file. */
export function encodeTrailer(trailer: Trailer): Uint8Array {
  const bytes = new Uint8Array(TRAILER_BYTES);
  const view = viewOf(bytes);
  for (const [index, section] of sectionsOf(trailer).entries()) {
    writeU64(view, index * 24, section.offset);
    writeU64(view, index * 24 + 8, section.byteLength);
    view.setUint32(index * 24 + 16, section.crc, true);
    view.setUint32(index * 24 + 20, section.count, true);
  }
  writeU64(view, 96, trailer.fileByteLength);
  writeU64(view, 104, trailer.rawByteLength);
  view.setUint32(112, trailer.headerCrc, true);
  view.setUint32(116, crc32(bytes.subarray(0, 116)), true);
  bytes.set(END_MAGIC, 120);
  return bytes;
}

/**
 * Reads the last 128 bytes of a file of `fileByteLength` bytes that begins with `header`, and checks that the
 * sections follow each other without a hole from the data to the trailer. Throws `CairnError` with
 * `truncated`, `checksum_mismatch` or `invalid_container`.
 */
export function parseTrailer(bytes: Uint8Array, fileByteLength: number, header: Header): Trailer {
  checkEnd(bytes);
  const view = viewOf(bytes);
  const [tensors, chunks, references, manifest] = [0, 24, 48, 72].map((at) => ({
    offset: readU64(view, at),
    byteLength: readU64(view, at + 8),
    crc: view.getUint32(at + 16, true),
    count: view.getUint32(at + 20, true),
  })) as [Section, Section, Section, Section];
  const trailer: Trailer = {
    tensors,
    chunks,
    references,
    manifest,
    fileByteLength: readU64(view, 96),
    rawByteLength: readU64(view, 104),
    headerCrc: view.getUint32(112, true),
  };
  checkLength(trailer.fileByteLength, fileByteLength);
  if (trailer.headerCrc !== header.headerCrc) {
    throw invalid("it belongs to another header, so the file is put together from two");
  }
  if (references.count !== 0 || references.byteLength !== 0) {
    throw invalid("it has references without their flag");
  }
  if (manifest.count !== 0) throw invalid("the manifest has a count");
  checkSections(trailer);
  return trailer;
}

function checkEnd(bytes: Uint8Array): void {
  if (!END_MAGIC.every((byte, i) => byte === bytes[120 + i])) {
    throw new CairnError(
      "truncated",
      "The file does not end with a container's trailer: it was cut short, is still being written, or something follows it",
    );
  }
  const actual = crc32(bytes.subarray(0, 116));
  const expected = viewOf(bytes).getUint32(116, true);
  if (actual !== expected) {
    throw new CairnError(
      "checksum_mismatch",
      `The trailer's checksum is ${hexOf(actual)}, expected ${hexOf(expected)}; the file is damaged there`,
    );
  }
}

/**
 * The checksum that stands in the 128 bytes of a trailer. It covers, by way of the other checksums, every byte of the
 * file.
 */
export function trailerChecksum(trailer: Uint8Array): number {
  return viewOf(trailer).getUint32(116, true);
}

function checkLength(declared: number, actual: number): void {
  if (declared > actual) {
    throw new CairnError("truncated", `The file has ${actual} bytes; its trailer says ${declared}`);
  }
  if (declared !== actual) throw invalid(`it says the file has ${declared} bytes, of ${actual} there are`);
}

function checkSections(trailer: Trailer): void {
  const end = trailer.fileByteLength - TRAILER_BYTES;
  let at = trailer.tensors.offset;
  if (at < DATA_OFFSET || at % FILE_ALIGNMENT !== 0) throw invalid(`the tensor table is at ${at}`);
  for (const [index, section] of sectionsOf(trailer).entries()) {
    const name = SECTION_NAMES[index];
    if (section.offset !== at) throw invalid(`the ${name} is at ${section.offset}, expected ${at}`);
    if (section.byteLength > end - at) {
      throw invalid(`the ${name} has ${section.byteLength} bytes, with ${end - at} left before the trailer`);
    }
    at = alignUp(at + section.byteLength, FILE_ALIGNMENT);
  }
  if (at !== end) throw invalid(`the sections end at ${at}, expected ${end}`);
}

/** The sections in the order they have in a file. */
export function sectionsOf(trailer: Trailer): readonly [Section, Section, Section, Section] {
  return [trailer.tensors, trailer.chunks, trailer.references, trailer.manifest];
}

function invalid(problem: string): CairnError {
  return new CairnError("invalid_container", `The trailer is not valid: ${problem}`);
}
