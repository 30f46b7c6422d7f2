import type { Decoder } from "./codec.ts";
import { deflateDecoder } from "./deflate/deflate.ts";
import { levelsDecoder } from "./levels/levels.ts";
import { planesDecoder } from "./planes/planes.ts";
import { rawCodec } from "./raw.ts";
import type { CodecName } from "./table.ts";
import { zstdDecoder } from "./zstd/zstd.ts";

/** What reads every codec of `table.ts`, without what writes: the bundle of a script that only reads is smaller. */
const DECODERS: readonly Decoder[] = [rawCodec, deflateDecoder, planesDecoder, zstdDecoder, levelsDecoder];

/** What reads chunks of the codec with this number; `undefined` for one that this version does not know. */
export function decoderById(id: number): Decoder | undefined {
  return DECODERS.find((decoder) => decoder.id === id);
}

/** What reads chunks of the codec of this name; a `TypeError` for any other string. */
export function decoderByName(name: CodecName): Decoder {
  const found = DECODERS.find((decoder) => decoder.name === name);
  if (found === undefined) throw new TypeError(`There is no codec "${name}" that can be read`);
  return found;
}
