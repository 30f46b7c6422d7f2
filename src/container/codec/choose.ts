import { crc32 } from "../../base/crc32/crc32.ts";
import type { DType } from "../../base/dtype.ts";
import { CairnError } from "../../base/errors.ts";
import type { Codec } from "./codec.ts";
import { codecByName, type CodecName } from "./table.ts";

/**
 * How much time to give for how many bytes. `fast`: coded where coding is faster than the disk would be with
 * what it saves, and otherwise raw. `balanced`: `planes`. `small`: what is smallest of `planes` and `zstd`
 * (where this runtime can make it, else `deflate`).
 */
export type CompressionMode = "fast" | "balanced" | "small";

/** One codec, or a mode that picks one for each chunk. */
export type CodecChoice = CodecName | CompressionMode;

/** A chunk as it is stored. */
export interface EncodedChunk {
  /** What decodes it: the codec that made the fewest bytes, or `raw`. */
  readonly codec: CodecName;
  /** Its bytes in the file. */
  readonly stored: Uint8Array;
  /** CRC-32 of {@link stored}. */
  readonly storedCrc: number;
  /** CRC-32 of the raw bytes. */
  readonly rawCrc: number;
}

/**
 * The codecs that a choice has to try on a chunk. Throws a `TypeError` for any other choice, and
 * `CairnError("unsupported")` for a codec that this runtime can only read.
 */
export function candidatesFor(choice: CodecChoice): readonly CodecName[] {
  if (choice === "fast" || choice === "balanced") return ["planes"];
  if (choice === "small") return ["planes", canEncode(codecByName("zstd")) ? "zstd" : "deflate"];
  const codec = codecByName(choice);
  if (!canEncode(codec)) {
    throw new CairnError(
      "unsupported",
      `This runtime can read the codec "${choice}", but not write it; use "planes", or Bun, Deno or Node 22.15`,
    );
  }
  return choice === "raw" ? [] : [choice];
}

/**
 * The chunk in the smallest of these forms and of raw. `stored` may be `raw` itself; or a view of `into`, which has
 * room for as many bytes as `raw` has.
 */
export function encodeSmallest(
  raw: Uint8Array,
  dtype: DType,
  names: readonly CodecName[],
  into?: Uint8Array,
): EncodedChunk {
  let codec: CodecName = "raw";
  let stored = raw;
  for (const name of names) {
    // Another codec would overwrite what the first one put there.
    const encoded = codecByName(name).encode(raw, dtype, name === names[0] ? into : undefined);
    if (encoded === undefined || encoded.byteLength >= stored.byteLength) continue;
    codec = name;
    stored = encoded;
  }
  const rawCrc = crc32(raw);
  return { codec, stored, rawCrc, storedCrc: stored === raw ? rawCrc : crc32(stored) };
}

function canEncode(codec: Codec): boolean {
  return codec.canEncode?.() ?? true;
}
