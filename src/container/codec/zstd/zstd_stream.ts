import { decompress } from "fzstd";
import { nodeBuiltin } from "../../../base/node_builtin.ts";
import { checkFrame, invalidFrame } from "./zstd_frame.ts";

// High enough to find what there is to find, at some 30 MB/s.
const LEVEL = 9;

/** Zstandard in `node:zlib`, which its types and older versions of Node do not have. */
interface NativeZstd {
  readonly zstdCompressSync?: (raw: Uint8Array, options: object) => Uint8Array;
  readonly zstdDecompressSync?: (stored: Uint8Array, options: object) => Uint8Array;
  readonly constants: Readonly<Record<string, number>>;
}

function nativeZstd(): NativeZstd | undefined {
  return nodeBuiltin("node:zlib") as NativeZstd | undefined;
}

/** Whether this runtime can make Zstandard frames: Bun, Deno and Node from 22.15. All can read them. */
export function canCompressZstd(): boolean {
  return typeof nativeZstd()?.zstdCompressSync === "function";
}

/**
 * A Zstandard frame of `raw` that says how long that is, or `undefined` where this runtime makes none.
 */
export function zstdBytes(raw: Uint8Array, level: number = LEVEL): Uint8Array | undefined {
  const zstd = nativeZstd();
  const parameter = zstd?.constants.ZSTD_c_compressionLevel;
  if (zstd?.zstdCompressSync === undefined || parameter === undefined) return undefined;
  const frame = zstd.zstdCompressSync(raw, {
    params: { [parameter]: level },
    pledgedSrcSize: raw.byteLength,
  });
  try {
    checkFrame(frame, raw.byteLength);
  } catch {
    return undefined;
  }
  return frame;
}

/**
 * The bytes of a Zstandard frame that holds exactly `rawLength` of them and nothing behind it. Throws
 * `CairnError("invalid_container")` for any other.
 */
export function unzstdBytes(frame: Uint8Array, rawLength: number): Uint8Array {
  checkFrame(frame, rawLength);
  const native = nativeZstd()?.zstdDecompressSync;
  let raw: Uint8Array;
  try {
    raw = native === undefined
      ? decompress(frame, new Uint8Array(rawLength))
      : native(frame, { maxOutputLength: rawLength });
  } catch (cause) {
    throw invalidFrame(cause instanceof Error ? cause.message : String(cause), cause);
  }
  if (raw.byteLength !== rawLength) {
    throw invalidFrame(`it holds ${raw.byteLength} bytes, expected ${rawLength}`);
  }
  return raw;
}
