import { bytesAsHex, hexOf } from "../../base/hex.ts";
import { crc32 } from "../../base/crc32/crc32.ts";
import { CairnError } from "../../base/errors.ts";
import { fileKind } from "../../base/file_kind.ts";
import { isAllZero, viewOf } from "../../base/little_endian.ts";

/** The version that this code writes, and the only one it reads. */
export const FORMAT_VERSION = 1;
/** Length of the header itself. The rest up to {@link DATA_OFFSET} is zero. */
export const HEADER_BYTES = 64;
/** Where the first chunk starts: a page, so that raw tensors can be mapped. */
export const DATA_OFFSET = 4096;
/** The hint at 18 counts in these: enough for the tables of a few hundred tensors. */
const TAIL_HINT_UNIT = 64 * 1024;
/** Length of a file id. */
export const FILE_ID_BYTES = 16;

// A byte above 127, the name, and both kinds of line end, as in PNG: a transfer that treats the file as text
// damages these.
const MAGIC = Uint8Array.of(0x89, 0x43, 0x52, 0x4e, 0x0d, 0x0a, 0x1a, 0x0a);

/** What a header says. */
export interface Header {
  /** Sixteen bytes that no other file has. */
  readonly fileId: Uint8Array;
  /** CRC-32 of the 64 bytes, which the trailer repeats: it ties the two ends of a file together. */
  readonly headerCrc: number;
  /** How many bytes a reader best asks for from the end of the file. Only a hint: it may be anything. */
  readonly tailHint: number;
}

/**
 * The first 4096 bytes of a file. `tailBytes` is how long the tables, the manifest and the trailer will be, as far as
 * one can tell. Throws a `TypeError` unless `fileId` has sixteen bytes.
 */
export function encodeHeader(fileId: Uint8Array, tailBytes = 0): { bytes: Uint8Array; header: Header } {
  if (!(fileId instanceof Uint8Array) || fileId.byteLength !== FILE_ID_BYTES) {
    throw new TypeError(`A file id has ${FILE_ID_BYTES} bytes; this one is ${fileId?.byteLength}`);
  }
  const bytes = new Uint8Array(DATA_OFFSET);
  const view = viewOf(bytes);
  bytes.set(MAGIC);
  view.setUint32(8, FORMAT_VERSION, true);
  view.setUint16(18, hintUnits(tailBytes), true);
  view.setUint32(20, DATA_OFFSET, true);
  bytes.set(fileId, 24);
  const headerCrc = crc32(bytes.subarray(0, 60));
  view.setUint32(60, headerCrc, true);
  return { bytes, header: { fileId: fileId.slice(), headerCrc, tailHint: readTailHint(view) } };
}

/**
 * Reads the first 4096 bytes, or as many as there are. Throws `CairnError` with `not_a_container` (another
 * kind of file), `truncated`, `checksum_mismatch`, `unsupported` (a newer version, or a feature that has to
 * be understood) or `invalid_container`.
 */
export function parseHeader(bytes: Uint8Array): Header {
  checkMagic(bytes);
  if (bytes.byteLength < DATA_OFFSET) {
    const hint = bytes.byteLength === 0 ? "; it is empty" : "";
    throw new CairnError(
      "truncated",
      `The file ends inside its header, after ${bytes.byteLength} bytes${hint}`,
    );
  }
  const view = viewOf(bytes);
  const headerCrc = view.getUint32(60, true);
  const actual = crc32(bytes.subarray(0, 60));
  if (actual !== headerCrc) {
    throw new CairnError(
      "checksum_mismatch",
      `The header's checksum is ${hexOf(actual)}, expected ${hexOf(headerCrc)}; the file is damaged there`,
    );
  }
  const version = view.getUint32(8, true);
  if (version !== FORMAT_VERSION) {
    throw new CairnError(
      "unsupported",
      `The file has format version ${version}; this reader knows ${FORMAT_VERSION}`,
    );
  }
  const requiredFlags = view.getUint32(12, true);
  if (requiredFlags !== 0) {
    throw new CairnError(
      "unsupported",
      `The file needs features that this reader does not know (flags ${
        hexOf(requiredFlags)
      }); use a newer version`,
    );
  }
  // The flags at 16 are for features that a reader may ignore, and the hint at 18 is only one, so nothing is checked
  // about them.
  if (view.getUint32(20, true) !== DATA_OFFSET) {
    throw invalid(`its data start at ${view.getUint32(20, true)}`);
  }
  if (!isAllZero(bytes.subarray(40, 60))) throw invalid("its reserved bytes are not zero");
  if (!isAllZero(bytes.subarray(HEADER_BYTES, DATA_OFFSET))) {
    throw invalid("the bytes behind it are not zero");
  }
  return { fileId: bytes.slice(24, 40), headerCrc, tailHint: readTailHint(view) };
}

/** 0 where one unit is enough, which is what a reader asks for anyway. */
function hintUnits(tailBytes: number): number {
  return tailBytes <= TAIL_HINT_UNIT ? 0 : Math.min(0xffff, Math.ceil(tailBytes / TAIL_HINT_UNIT));
}

function readTailHint(view: DataView): number {
  return Math.max(1, view.getUint16(18, true)) * TAIL_HINT_UNIT;
}

function checkMagic(bytes: Uint8Array): void {
  const start = bytes.subarray(0, MAGIC.length);
  if (start.every((byte, i) => byte === MAGIC[i])) return;
  const found = bytesAsHex(start, " ");
  const isText = start[1] === MAGIC[1] && start[2] === MAGIC[2] && start[3] === MAGIC[3];
  const kind = isText ? undefined : fileKind(bytes);
  const hint = isText
    ? "; it looks like a .cairn file that was copied as text"
    : kind === undefined
    ? ""
    : `; it is ${kind.text}`;
  throw new CairnError("not_a_container", `This is no .cairn file: it begins with ${found}${hint}`);
}

function invalid(problem: string): CairnError {
  return new CairnError("invalid_container", `The header is not valid: ${problem}`);
}
