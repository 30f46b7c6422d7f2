import type { TensorSpec } from "../../container/format/layout.ts";
import type { ByteSink } from "../../container/source.ts";
import type { SlabRange } from "../../tensor/slab_ranges.ts";
import type { GpuChunkSink } from "./checkpoint_source.ts";
import { byteLengthOf } from "./included_tensors.ts";

/** Where the tensors of a save come from. */
export interface Staging {
  /** Bytes that were copied on the GPU; training goes on meanwhile. */
  readonly shadowBytes: number;
  /**
   * Bytes for a copy of which there was no memory. They are read from the tensors themselves, before all others, and
   * training has to wait for that.
   */
  readonly streamedBytes: number;
}

/** How {@link StoreMoment.writeTo} writes. */
export interface MomentOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called when all streamed bytes were read: from then on the tensors may change. */
  readonly onFixed: () => void;
  /** Where chunks go that the GPU is to encode. What it has no memory to encode is written raw. */
  readonly encoded?: GpuChunkSink | undefined;
}

/** A store at one moment, in the same queue as the training steps. */
export interface StoreMoment {
  /** The tensors in the order in which they are written, with their full names. */
  readonly tensors: readonly TensorSpec[];
  /**
   * Resolves when it is known where the bytes come from: at once, unless memory had to be allocated. Until then, and
   * until the streamed bytes were read, nothing may be submitted that changes the tensors.
   *
   * @throws CairnError of the GPU, but for `out_of_memory`.
   */
  staging(): Promise<Staging>;
  /**
   * Writes the raw space of the tensors, the streamed ones first.
   *
   * @throws CairnError `state_changed` when the tensors may have changed before; `device_lost`, also where that is
   * why something else failed; `gpu_validation` when what comes back is not what was copied.
   */
  writeTo(sink: ByteSink, options: MomentOptions): Promise<void>;
  /** Throws what a guard of the store says of this moment. To be called when all bytes were read. */
  askGuards(): void;
  /** Gives the shadow memory back for the next copy. Safe to call twice. */
  release(): void;
}

/** How much is streamed and how much copied when the copies begin with range number `first`. */
export function sizesOf(spans: readonly SlabRange[], first: number): Staging {
  return {
    streamedBytes: byteLengthOf(spans.slice(0, first)),
    shadowBytes: byteLengthOf(spans.slice(first)),
  };
}
