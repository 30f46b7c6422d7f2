import { CairnError, type CairnErrorCode } from "../../base/errors.ts";
import { readU64, viewOf } from "../../base/little_endian.ts";
import type { ByteSource } from "../../container/source.ts";

const END_SIGNATURE = 0x06054b50;
const END_BYTES = 22;
const MAX_COMMENT_BYTES = 0xffff;
const LOCATOR_SIGNATURE = 0x07064b50;
const LOCATOR_BYTES = 20;
const END64_SIGNATURE = 0x06064b50;
const END64_BYTES = 56;
const LONG_END_BYTES = END64_BYTES + LOCATOR_BYTES + END_BYTES;
const U16 = 0xffff;
const U32 = 0xffff_ffff;

/** What the end of a zip file says of its directory. */
export interface ZipEnd {
  /** Of its entries. */
  readonly count: number;
  /** Where it starts in the source. */
  readonly offset: number;
  readonly byteLength: number;
  /** Bytes in front of the zip file, as of a program that unpacks itself: all its offsets count from behind them. */
  readonly precedingBytes: number;
}

type Directory = Omit<ZipEnd, "precedingBytes">;

/**
 * Finds the end of a zip file. Behind it there may be a comment, and nothing else; in front of the file there may be
 * anything, as for every reader of zip files.
 */
export async function readZipEnd(source: ByteSource): Promise<ZipEnd> {
  const { tail, at } = await findEnd(source);
  const view = viewOf(tail);
  const isPart = [4, 6].some((offset) => view.getUint16(at + offset, true) !== 0);
  const count = view.getUint16(at + 8, true);
  if (isPart || view.getUint16(at + 10, true) !== count) {
    throw refusal("unsupported", "it is one of several parts");
  }
  const short = { count, offset: view.getUint32(at + 16, true), byteLength: view.getUint32(at + 12, true) };
  const endOffset = source.byteLength - (tail.byteLength - at);
  const hasLocator = at >= LOCATOR_BYTES + END64_BYTES &&
    view.getUint32(at - LOCATOR_BYTES, true) === LOCATOR_SIGNATURE;
  const behind = endOffset - (hasLocator ? LOCATOR_BYTES + END64_BYTES : 0);
  const found = hasLocator ? readEnd64(view, at - LOCATOR_BYTES - END64_BYTES, behind, short) : short;
  const precedingBytes = behind - (found.offset + found.byteLength);
  if (precedingBytes < 0) {
    throw refusal(
      "invalid_file",
      `its directory ends at byte ${found.offset + found.byteLength}, expected ${behind}`,
    );
  }
  return { ...found, offset: found.offset + precedingBytes, precedingBytes };
}

/** The last bytes of the source, and where in them the end record is whose comment ends with the source. */
async function findEnd(source: ByteSource): Promise<{ tail: Uint8Array; at: number }> {
  if (source.byteLength < END_BYTES) {
    throw refusal("truncated", `it has ${source.byteLength} bytes, expected ${END_BYTES} or more`);
  }
  for (const most of [LONG_END_BYTES, LONG_END_BYTES + MAX_COMMENT_BYTES]) {
    const tail = new Uint8Array(Math.min(source.byteLength, most));
    await source.read(source.byteLength - tail.byteLength, tail);
    const view = viewOf(tail);
    for (let at = tail.byteLength - END_BYTES; at >= 0; at--) {
      const commentBytes = tail.byteLength - END_BYTES - at;
      if (view.getUint32(at, true) !== END_SIGNATURE) continue;
      // Only without a comment is the longer end sure to be in a short tail.
      if (commentBytes > 0 && most === LONG_END_BYTES) continue;
      if (view.getUint16(at + 20, true) === commentBytes) return { tail, at };
    }
  }
  throw refusal("invalid_file", "it does not end as one; it may be cut off, or something follows it");
}

/** The record with 64-bit lengths in front of the end, which wins where the short one is full and agrees elsewhere. */
function readEnd64(view: DataView, at: number, offset: number, short: Directory): Directory {
  const isRecord = view.getUint32(at, true) === END64_SIGNATURE && readU64(view, at + 4) === END64_BYTES - 12;
  const isWhole = view.getUint32(at + 16, true) === 0 && view.getUint32(at + 20, true) === 0 &&
    readU64(view, at + 24) === readU64(view, at + 32);
  const end = {
    count: readU64(view, at + 32),
    byteLength: readU64(view, at + 40),
    offset: readU64(view, at + 48),
  };
  const isInPlace = readU64(view, at + END64_BYTES + 8) <= offset;
  const agrees = (short.count === U16 || short.count === end.count) &&
    (short.byteLength === U32 || short.byteLength === end.byteLength) &&
    (short.offset === U32 || short.offset === end.offset);
  if (!isRecord || !isInPlace || !isWhole || !agrees) {
    throw refusal("invalid_file", "its two ends do not agree");
  }
  return end;
}

/** For a file that is no zip file, or not one that can be read. */
export function refusal(code: CairnErrorCode, problem: string): CairnError {
  return new CairnError(code, `This is no readable zip file: ${problem}`);
}
