import type { TensorSpec } from "../../container/layout.ts";
import type { Manifest } from "../../container/manifest.ts";

/** What checkpoints are written from: a frozen state, or another checkpoint. */
export interface CheckpointSource {
  /** All tensors in file order. */
  readonly tensors: readonly TensorSpec[];
  readonly manifest: Manifest;
  /** The raw space of {@link tensors}, in pieces that are valid until the next one is asked for. */
  bytes(signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** @throws CairnError when what was given cannot be trusted any more. */
  assertAlive(): void;
}
