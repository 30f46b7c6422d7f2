import type { Codec } from "./codec.ts";
import { deflateCodec } from "./deflate/deflate.ts";
import { levelsCodec } from "./levels/levels.ts";
import { planesCodec } from "./planes/planes.ts";
import { rawCodec } from "./raw.ts";
import { zstdCodec } from "./zstd/zstd.ts";

/** The codecs a writer can be asked for. */
export type CodecName = "raw" | "deflate" | "planes" | "zstd" | "levels";

const CODECS: readonly Codec[] = [rawCodec, deflateCodec, planesCodec, zstdCodec, levelsCodec];

/** The codec with this number in a file, or `undefined` for one that this version does not know. */
export function codecById(id: number): Codec | undefined {
  return CODECS.find((codec) => codec.id === id);
}

/** The codec of this name; a `TypeError` for any other string. */
export function codecByName(name: CodecName): Codec {
  const found = CODECS.find((codec) => codec.name === name);
  if (found !== undefined) return found;
  const names = CODECS.map((codec) => `"${codec.name}"`).join(", ");
  throw new TypeError(`There is no codec "${name}"; use one of ${names}`);
}
