import { deflateSync } from "fflate";
import { CairnError } from "../../base/errors.ts";
import { nodeBuiltin } from "../../base/node_builtin.ts";
import { inflateRawStrictly } from "../../container/codec/deflate/inflate.ts";

const LEVEL = 6;

/** A bare DEFLATE stream (RFC 1951) of `raw`. The bytes differ between runtimes; what they decode to does not. */
export function deflateRaw(raw: Uint8Array): Uint8Array {
  const zlib = nodeBuiltin("node:zlib");
  return zlib === undefined ? deflateSync(raw, { level: LEVEL }) : zlib.deflateRawSync(raw, { level: LEVEL });
}

/**
 * The bytes of a DEFLATE stream that holds exactly `rawLength` of them and nothing behind it. Decoding stops at the
 * first byte too many. Throws a `CairnError` for any other stream.
 */
export function inflateRaw(stream: Uint8Array, rawLength: number): Uint8Array {
  const zlib = nodeBuiltin("node:zlib");
  if (zlib === undefined) return inflateRawStrictly(stream, rawLength);
  // With `info` the result also says how much of the input was used; the types of node:zlib do not know about it.
  const inflate: (bytes: Uint8Array, options: object) => unknown = zlib.inflateRawSync;
  let result: { buffer: Uint8Array; engine: { bytesWritten: number } };
  try {
    const options = {
      info: true,
      maxOutputLength: Math.max(1, rawLength),
      chunkSize: Math.max(64, rawLength),
    };
    result = inflate(stream, options) as typeof result;
  } catch (cause) {
    throw invalid(cause instanceof Error ? cause.message : String(cause), cause);
  }
  if (result.buffer.byteLength !== rawLength) {
    throw invalid(`it holds ${result.buffer.byteLength} bytes, expected ${rawLength}`);
  }
  if (result.engine.bytesWritten !== stream.byteLength) {
    throw invalid(`${stream.byteLength - result.engine.bytesWritten} bytes follow its end`);
  }
  return result.buffer;
}

function invalid(problem: string, cause?: unknown): CairnError {
  return new CairnError("invalid_file", `a DEFLATE stream is damaged: ${problem}`, { cause });
}
