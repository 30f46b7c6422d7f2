import type { EncodedChunk } from "../../container/codec/choose.ts";
import type { TensorSpec } from "../../container/format/layout.ts";
import type { SlabRange } from "../../tensor/slab_ranges.ts";
import type { EncodableCuts } from "./encoding_plan.ts";
import { byteLengthOf } from "./included_tensors.ts";

/** Where the tensors of a save come from. */
export interface Staging {
  /** Bytes that were copied on the GPU, behind which training goes on. */
  readonly shadowBytes: number;
  /**
   * Bytes for which there was no room for a copy. They are read from the tensors themselves, before all others, and training has
   * to wait for that.
   */
  readonly streamedBytes: number;
}

/** A store at one moment, in the same queue as the training steps. */
export interface StoreMoment {
  /** The tensors in the order of {@link StoreMoment.bytes}, with their full names. */
  readonly tensors: readonly TensorSpec[];
  /**
   * Resolves when it is known where the bytes come from: at once, unless memory had to be allocated. Nothing may be submitted that
   * changes the tensors before, and not until the streamed bytes were read.
   *
   * @throws CairnError of the GPU, but for `out_of_memory`.
   */
  staging(): Promise<Staging>;
  /**
   * The raw space of the tensors, in pieces that are valid until the next one is asked for; the streamed ones come first.
   *
   * @param onFixed Called when all streamed bytes were read: from then on nothing that happens to the tensors matters.
   * @throws CairnError `state_changed` when the tensors may have changed before; `device_lost`, or `gpu_validation` when what comes
   * back is not what was copied.
   */
  bytes(signal?: AbortSignal, onFixed?: () => void): AsyncGenerator<Uint8Array>;
  /**
   * As {@link bytes}, with chunks in between that the GPU has encoded, in the place of their raw bytes. What it has no room to encode
   * comes raw.
   */
  encodedBytes(
    cuts: EncodableCuts,
    signal?: AbortSignal,
    onFixed?: () => void,
  ): AsyncGenerator<Uint8Array | EncodedPiece>;
  /** Throws what a guard of the store says of this moment. To be called when all bytes were read. */
  askGuards(): void;
  /** Gives the shadow memory back for the next copy. Safe to call twice. */
  release(): void;
}

/** A chunk that the GPU has encoded. Its bytes are valid until the next piece is asked for. */
export interface EncodedPiece extends EncodedChunk {
  readonly rawLength: number;
}

/** What {@link StoreMoment.bytes} gives where nothing is encoded. */
export async function* rawOnly(pieces: AsyncIterable<Uint8Array | EncodedPiece>): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) if (piece instanceof Uint8Array) yield piece;
}

/** How much is streamed and how much copied when the copies begin with range number `first`. */
export function sizesOf(spans: readonly SlabRange[], first: number): Staging {
  return {
    streamedBytes: byteLengthOf(spans.slice(0, first)),
    shadowBytes: byteLengthOf(spans.slice(first)),
  };
}
