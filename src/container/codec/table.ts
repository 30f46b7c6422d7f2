import type { Codec } from "./codec.ts";
import { deflateCodec } from "./deflate.ts";
import { rawCodec } from "./raw.ts";

/** The codecs a writer can be asked for. */
export type CodecName = "raw" | "deflate";

/** The codec with this number in a file, or `undefined` for one that this version does not know. */
export function codecById(id: number): Codec | undefined {
  return id === rawCodec.id ? rawCodec : id === deflateCodec.id ? deflateCodec : undefined;
}

/** The codec of this name; a `TypeError` for any other string. */
export function codecByName(name: CodecName): Codec {
  if (name === "raw") return rawCodec;
  if (name === "deflate") return deflateCodec;
  throw new TypeError(`There is no codec "${name satisfies never}"; use "raw" or "deflate"`);
}
