import { Gunzip } from "fflate";
import { throwIfAborted } from "../../base/abort.ts";
import { crc32 } from "../../base/crc32/crc32.ts";
import type { Description } from "../../base/description.ts";
import { CairnError } from "../../base/errors.ts";
import type { ByteSource } from "../../container/source.ts";
import { type FileOfData, openFileOfData } from "./byte_location.ts";

const PIECE_BYTES = 256 * 1024;
/** Of a file's beginning and end, for a checksum that costs the same whatever its length. */
const CHECKED_BYTES = 64 * 1024;

/** The bytes of a file from its beginning, in pieces; unpacked where they are compressed with gzip. */
export async function* filePieces(file: FileOfData, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const { source, name, close } = await openFileOfData(file);
  try {
    const pieces = await isGzip(source) ? unpacked(source, name, signal) : piecesOf(source, signal);
    yield* pieces;
  } finally {
    await close();
  }
}

/** The text of a file in UTF-8, in pieces that do not cut a character. */
export async function* textPieces(file: FileOfData, signal: AbortSignal): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for await (const piece of filePieces(file, signal)) yield decoder.decode(piece, { stream: true });
  yield decoder.decode();
}

/** What a file is, for checkpoints: its length, and a checksum of its beginning and its end, wherever it lies. */
export async function describeFile(file: FileOfData): Promise<Description> {
  const { source, close } = await openFileOfData(file);
  try {
    return { name: "file", byteLength: source.byteLength, ends: await checksumOfEnds(source) };
  } finally {
    await close();
  }
}

/** A checksum of the first and the last bytes. */
export async function checksumOfEnds(source: ByteSource): Promise<number> {
  const { byteLength } = source;
  const head = new Uint8Array(Math.min(CHECKED_BYTES, byteLength));
  await source.read(0, head);
  const tail = new Uint8Array(Math.min(CHECKED_BYTES, byteLength - head.byteLength));
  await source.read(byteLength - tail.byteLength, tail);
  return crc32(tail, crc32(head));
}

/** Whether a file is compressed with gzip, by its first bytes. */
export async function isGzip(source: ByteSource): Promise<boolean> {
  if (source.byteLength < 2) return false;
  const head = new Uint8Array(2);
  await source.read(0, head);
  return head[0] === 0x1f && head[1] === 0x8b;
}

async function* piecesOf(source: ByteSource, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < source.byteLength; at += PIECE_BYTES) {
    throwIfAborted(signal);
    const piece = new Uint8Array(Math.min(PIECE_BYTES, source.byteLength - at));
    await source.read(at, piece, signal);
    yield piece;
  }
}

async function* unpacked(source: ByteSource, name: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  let ready: Uint8Array[] = [];
  let hasEnded = false;
  const gunzip = new Gunzip((piece, isLast) => {
    if (piece.byteLength > 0) ready.push(piece);
    hasEnded = isLast;
  });
  let read = 0;
  for await (const piece of piecesOf(source, signal)) {
    read += piece.byteLength;
    try {
      gunzip.push(piece, read === source.byteLength);
    } catch (cause) {
      throw damaged(name, cause instanceof Error ? cause.message : String(cause), cause);
    }
    const pieces = ready;
    ready = [];
    yield* pieces;
  }
  if (!hasEnded) throw damaged(name, "it ends early");
}

function damaged(name: string, reason: string, cause?: unknown): CairnError {
  return new CairnError("invalid_file", `Cannot unpack "${name}": ${reason}; download or copy it again`, {
    details: { path: name },
    cause,
  });
}
