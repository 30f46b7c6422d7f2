import type { TensorSpec } from "../../container/format/layout.ts";
import type { ByteSink } from "../../container/source.ts";

/**
 * Tensors of a checkpoint that come from elsewhere while it is written, once. They come first, and must stay as they
 * are until they were taken: as much of the run waits for that.
 */
export interface StreamedTensors {
  /** With their full names. */
  readonly tensors: readonly TensorSpec[];
  /**
   * Writes their raw space.
   *
   * @param onRead Told how many bytes are on their way.
   */
  writeTo(
    sink: ByteSink,
    signal: AbortSignal | undefined,
    onRead: (byteLength: number) => void,
  ): Promise<void>;
}
