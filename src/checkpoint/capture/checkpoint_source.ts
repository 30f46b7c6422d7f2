import type { EncodedChunk } from "../../container/codec/choose.ts";
import type { TensorSpec } from "../../container/format/layout.ts";
import type { Manifest } from "../../container/format/manifest.ts";
import type { ByteSink } from "../../container/source.ts";
import type { GpuDevice } from "../../gpu/gpu_device.ts";
import type { EncodableCuts } from "./encoding_plan.ts";

/** A chunk that the GPU has encoded. */
export interface GpuChunk extends EncodedChunk {
  /** Bytes before compression. */
  readonly rawLength: number;
}

/** Takes chunks that the GPU has encoded, each in the place of its raw bytes. */
export interface GpuChunkSink extends EncodableCuts {
  /** Takes the next one, and keeps no reference to its bytes after it resolves. */
  writeEncoded(chunk: GpuChunk): Promise<void>;
}

/** What checkpoints are written from: a frozen state, or another checkpoint. */
export interface CheckpointSource {
  /** All tensors in file order. */
  readonly tensors: readonly TensorSpec[];
  readonly manifest: Manifest;
  /** Where some of the tensors are on a GPU that could encode them. */
  readonly encodingGpu?: GpuDevice | undefined;
  /**
   * Writes the raw space of {@link tensors} to `sink`, front to back, in pieces of any length.
   *
   * @param encoded Where chunks go that the GPU is to encode, one by one in between. Unless given, all of it is
   * written raw.
   */
  writeTo(sink: ByteSink, signal?: AbortSignal, encoded?: GpuChunkSink): Promise<void>;
  /** @throws CairnError when what was given cannot be trusted any more. */
  assertAlive(): void;
}
