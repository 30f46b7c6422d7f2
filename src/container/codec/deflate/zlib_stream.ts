import { zlibSync } from "fflate";
import { CairnError } from "../../../base/errors.ts";
import { nodeBuiltin } from "../../../base/node_builtin.ts";
import { inflateStrictly } from "./inflate.ts";

/**
 * How an encoder looks for savings. `runs`: runs of one byte and an entropy code, for float planes, where a
 * search for longer matches costs four times the time and makes the result larger. `matches`: a fast search,
 * for everything else.
 */
export type DeflateEffort = "runs" | "matches";

/**
 * A zlib stream (RFC 1950) of `raw`. Every implementation's stream is another one; all decode to the same
 * bytes.
 */
export function deflateBytes(raw: Uint8Array, effort: DeflateEffort): Uint8Array {
  const zlib = nodeBuiltin("node:zlib");
  if (zlib === undefined) return deflateBytesPortably(raw);
  const strategy = effort === "runs" ? zlib.constants.Z_RLE : zlib.constants.Z_DEFAULT_STRATEGY;
  return zlib.deflateSync(raw, { level: 1, strategy });
}

/** {@link deflateBytes} without `node:zlib`, by `fflate`. */
export function deflateBytesPortably(raw: Uint8Array): Uint8Array {
  return zlibSync(raw, { level: 1 });
}

/**
 * The bytes of a zlib stream that holds exactly `rawLength` of them and nothing behind it. Decoding stops at
 * the first byte too many. Throws `CairnError("invalid_container")` for any other stream.
 */
export function inflateBytes(stream: Uint8Array, rawLength: number): Uint8Array {
  const zlib = nodeBuiltin("node:zlib");
  if (zlib === undefined) return inflateStrictly(stream, rawLength);
  // With `info` the result also says how much of the input was used, which is the only way to notice junk
  // behind the stream. The types of node:zlib do not know about it.
  const inflate: (bytes: Uint8Array, options: object) => unknown = zlib.inflateSync;
  let result: { buffer: Uint8Array; engine: { bytesWritten: number } };
  try {
    // One output buffer of the whole length saves pieces of 16 KiB and their concatenation.
    const options = { info: true, maxOutputLength: rawLength, chunkSize: Math.max(64, rawLength) };
    result = inflate(stream, options) as typeof result;
  } catch (cause) {
    throw invalid(cause instanceof Error ? cause.message : String(cause), cause);
  }
  const { buffer, engine } = result;
  if (buffer.byteLength !== rawLength) {
    throw invalid(`it holds ${buffer.byteLength} bytes, expected ${rawLength}`);
  }
  if (engine.bytesWritten !== stream.byteLength) {
    throw invalid(`${stream.byteLength - engine.bytesWritten} bytes follow its end`);
  }
  return buffer;
}

function invalid(problem: string, cause?: unknown): CairnError {
  return new CairnError("invalid_container", `A zlib stream is damaged: ${problem}`, { cause });
}
