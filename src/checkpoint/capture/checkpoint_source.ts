import type { TensorSpec } from "../../container/format/layout.ts";
import type { Manifest } from "../../container/format/manifest.ts";
import type { GpuDevice } from "../../gpu/gpu_device.ts";
import type { EncodableCuts } from "./encoding_plan.ts";
import type { EncodedPiece } from "./store_moment.ts";

/** Tensors on a GPU. */
export interface EncodableTensors {
  readonly gpu: GpuDevice;
  /** As {@link CheckpointSource.bytes}, with chunks in between that the GPU has encoded, in the place of their raw bytes. */
  bytes(cuts: EncodableCuts, signal?: AbortSignal): AsyncIterable<Uint8Array | EncodedPiece>;
}

/** What checkpoints are written from: a frozen state, or another checkpoint. */
export interface CheckpointSource {
  /** All tensors in file order. */
  readonly tensors: readonly TensorSpec[];
  readonly manifest: Manifest;
  /** The raw space of {@link tensors}, in pieces that are valid until the next one is asked for. */
  bytes(signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** Where some of the tensors are on a GPU that could encode them. */
  readonly encodable?: EncodableTensors | undefined;
  /** @throws CairnError when what was given cannot be trusted any more. */
  assertAlive(): void;
}
