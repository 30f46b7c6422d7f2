import { CairnError } from "../../../base/errors.ts";
import { viewOf } from "../../../base/little_endian.ts";

const MAGIC = 0xfd2fb528;
const MAX_BLOCK_BYTES = 128 * 1024;
// A window is what a decoder may have to hold besides its output. Chunks have 16 MiB at most.
const MAX_WINDOW_LOG = 24;

/**
 * Makes sure that `frame` is one whole Zstandard frame (RFC 8878) that says it holds `contentBytes` bytes,
 * without dictionary and checksum, and with nothing behind it. Decoders do not: those in Bun and Deno take a
 * frame that was cut anywhere for a whole one, and none tells where it ended. What the blocks hold is not
 * looked at. Throws `CairnError("invalid_container")`.
 */
export function checkFrame(frame: Uint8Array, contentBytes: number): void {
  let at = checkFrameHeader(frame, contentBytes);
  let known = 0;
  for (let isLast = false; !isLast;) {
    if (frame.byteLength - at < 3) throw invalid("it ends before its last block");
    const head = (frame[at] as number) | ((frame[at + 1] as number) << 8) | ((frame[at + 2] as number) << 16);
    const size = head >>> 3;
    const type = (head >>> 1) & 3;
    isLast = (head & 1) === 1;
    if (type === 3) throw invalid("a block has the type 3");
    if (size > MAX_BLOCK_BYTES) {
      throw invalid(`a block has ${size} bytes, of ${MAX_BLOCK_BYTES} at most`);
    }
    if (type !== 2) known += size;
    if (known > contentBytes) throw invalid(`it holds more than ${contentBytes} bytes`);
    at += 3 + (type === 1 ? 1 : size);
  }
  if (at > frame.byteLength) throw invalid("it ends within its last block");
  if (at < frame.byteLength) throw invalid(`${frame.byteLength - at} bytes follow its end`);
}

/** Checks the header and returns where the first block begins. */
function checkFrameHeader(frame: Uint8Array, contentBytes: number): number {
  const view = viewOf(frame);
  if (frame.byteLength < 6 || view.getUint32(0, true) !== MAGIC) throw invalid("it does not begin as one");
  const descriptor = frame[4] as number;
  if ((descriptor & 0b11111) !== 0) {
    throw invalid("it has a dictionary, a checksum or a reserved bit, which this format does not use");
  }
  const isSingleSegment = (descriptor & 32) !== 0;
  let at = 5;
  if (!isSingleSegment && (frame[at++] as number) >>> 3 > MAX_WINDOW_LOG - 10) {
    throw invalid("its window is too large");
  }
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >>> 6] as number;
  if (sizeBytes === 0) throw invalid("it does not say how much it holds");
  if (frame.byteLength < at + sizeBytes) throw invalid("it ends within its header");
  let size = 0;
  for (let i = sizeBytes - 1; i >= 0; i--) size = size * 256 + (frame[at + i] as number);
  if (sizeBytes === 2) size += 256;
  if (size !== contentBytes) throw invalid(`it says it holds ${size} bytes, expected ${contentBytes}`);
  return at + sizeBytes;
}

/** The error for a frame with this problem. */
export function invalidFrame(problem: string, cause?: unknown): CairnError {
  return new CairnError("invalid_container", `A zstd frame is damaged: ${problem}`, { cause });
}

const invalid = invalidFrame;
