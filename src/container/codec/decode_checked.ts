import { hexOf } from "../../base/hex.ts";
import { crc32 } from "../../base/crc32/crc32.ts";
import type { DType } from "../../base/dtype.ts";
import { CairnError } from "../../base/errors.ts";
import type { Decoder } from "./codec.ts";

/** What a container says of a chunk's bytes. */
export interface ChunkSums {
  /** The dtype of every element in it. */
  readonly dtype: DType;
  /** Bytes before compression. */
  readonly rawLength: number;
  /** CRC-32 of the bytes as stored. */
  readonly storedCrc: number;
  /** CRC-32 of the bytes before compression. */
  readonly rawCrc: number;
}

/**
 * The raw bytes of a chunk, after everything that can be checked about them: the stored bytes' checksum before
 * anything is decoded, then that they decode to exactly `rawLength`, then the raw bytes' checksum. The result is as
 * `Decoder.decode` gives it. Throws `CairnError` with `checksum_mismatch` or `invalid_container`, in words that go on
 * after "Cannot read …:".
 */
export function decodeChecked(
  codec: Decoder,
  stored: Uint8Array,
  { dtype, rawLength, storedCrc, rawCrc }: ChunkSums,
  into?: Uint8Array,
): Uint8Array {
  checkSum(stored, storedCrc);
  let raw: Uint8Array;
  try {
    raw = codec.decode(stored, rawLength, dtype, into);
  } catch (cause) {
    throw new CairnError("invalid_container", cause instanceof Error ? cause.message : String(cause), {
      cause,
    });
  }
  if (raw !== stored) checkSum(raw, rawCrc);
  return raw;
}

/** Throws `CairnError("checksum_mismatch")` unless this is the bytes' CRC-32. */
export function checkSum(bytes: Uint8Array, expected: number): void {
  const actual = crc32(bytes);
  if (actual === expected) return;
  throw new CairnError(
    "checksum_mismatch",
    `its checksum is ${hexOf(actual)}, expected ${hexOf(expected)}; the file is damaged there`,
  );
}
