import type { OptionNames } from "../../base/options/options.ts";
import type { CodecChoice, CompressionMode } from "../codec/choose.ts";
import type { CodecPool } from "../codec/codec_pool.ts";
import type { CodecName } from "../codec/table.ts";

/** How chunks are coded: what every layer between a save and a container's writer passes on. */
export interface Coding {
  /**
   * How much time to give for how few bytes, where no codec is named. Default `"balanced"`: each chunk by the codec
   * `planes` where that pays, which gives the same bytes everywhere. Which bytes `"fast"` gives depends on measured
   * rates: by them it also says whether a GPU encodes what it has, by the codec `levels`.
   */
  readonly mode?: CompressionMode | undefined;
  /** One codec for all chunks instead of a mode. Chunks that it does not make smaller are stored raw. */
  readonly codec?: CodecName | undefined;
  /**
   * A codec or a mode for single tensors, by name: for them it comes before `codec` and `mode`. Each has to be there.
   */
  readonly tensorCodecs?: Readonly<Record<string, CodecChoice>> | undefined;
  /** Encodes chunks on other threads, with four chunks a thread under way. The caller closes it. */
  readonly pool?: CodecPool | undefined;
  /** Raw bytes in a chunk: a multiple of 256 up to 16 MiB. Default 1 MiB. */
  readonly chunkBytes?: number | undefined;
}

/** Every option of {@link Coding}. */
export const CODING_OPTIONS: OptionNames<Coding> = {
  mode: true,
  codec: true,
  tensorCodecs: true,
  pool: true,
  chunkBytes: true,
};
