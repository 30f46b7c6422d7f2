import { type Work, WORK_OPTIONS } from "../../base/work.ts";
import type { OptionNames } from "../../base/options.ts";
import type { CodecChoice, CompressionMode } from "../codec/choose.ts";
import type { CodecPool } from "../codec/codec_pool.ts";
import type { CodecName } from "../codec/table.ts";
import type { TensorSpec } from "../format/layout.ts";

/** Options of `ContainerWriter.create`. */
export interface ContainerWriterOptions extends Work {
  /** The tensors in the order in which their bytes will come. */
  tensors: readonly TensorSpec[];
  /** Sixteen bytes that no other file has, such as random ones. */
  fileId: Uint8Array;
  /**
   * How much time to give for how few bytes. Default `"balanced"`: each chunk by the codec `planes` where
   * that pays, which gives the same bytes everywhere. Which bytes `"fast"` gives depends on measured rates: by them it also says
   * whether a GPU encodes what it has, by the codec `levels`.
   */
  mode?: CompressionMode | undefined;
  /** One codec for all chunks instead of a mode. Chunks that it does not make smaller are stored raw. */
  codec?: CodecName | undefined;
  /** A codec or a mode for single tensors, by name: for them it comes before `codec` and `mode`. */
  tensorCodecs?: Readonly<Record<string, CodecChoice>> | undefined;
  /** Encodes chunks on other threads, with four chunks a thread under way. The caller closes it. */
  pool?: CodecPool | undefined;
  /** Milliseconds that only rise, for the rates that `"fast"` goes by. Default `performance.now`. */
  now?: (() => number) | undefined;
  /** Raw bytes in a chunk: a multiple of 256 up to 16 MiB. Default 1 MiB. */
  chunkBytes?: number | undefined;
}

/** Every option of {@link ContainerWriterOptions}. */
export const CONTAINER_WRITER_OPTIONS: OptionNames<ContainerWriterOptions> = {
  tensors: true,
  fileId: true,
  mode: true,
  codec: true,
  tensorCodecs: true,
  pool: true,
  now: true,
  chunkBytes: true,
  ...WORK_OPTIONS,
};
