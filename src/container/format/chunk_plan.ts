import { TENSOR_ALIGNMENT } from "../../base/checked.ts";
import type { DType } from "../../base/dtype.ts";
import type { CodecChoice } from "../codec/choose.ts";
import type { RawLayout } from "./layout.ts";

/** Raw bytes in a chunk, where a writer is not told otherwise. */
export const DEFAULT_CHUNK_BYTES: number = 1024 * 1024;
/** The most raw bytes in a chunk: what a reader has to be able to hold. */
export const MAX_CHUNK_BYTES: number = 16 * 1024 * 1024;
/** A tensor of as many bytes or more shares no chunk with others, so that reading it decodes nothing else. */
export const OWN_CHUNKS_BYTES: number = 8 * 1024 * 1024;
/** Chunks are cut at multiples of this, which are multiples of every element size. */
export const CHUNK_ALIGNMENT: number = TENSOR_ALIGNMENT;

/** A piece of the raw space that becomes one chunk. */
export interface ChunkCut {
  /** Where it begins in the raw space, a multiple of 256. */
  readonly rawOffset: number;
  /** Bytes of the raw space, gaps between tensors included. */
  readonly rawLength: number;
  /** The dtype of every element in it. */
  readonly dtype: DType;
  /** How it is to be stored. */
  readonly choice: CodecChoice;
}

/**
 * Cuts the raw space in pieces of `chunkBytes`, and also wherever the dtype or the choice of codec changes, so that a
 * chunk holds elements of one kind, and where a tensor of {@link OWN_CHUNKS_BYTES} begins and ends. Smaller tensors may
 * share a chunk and may span many. Throws a `RangeError` for a bad chunk size.
 */
export function planChunks(
  layout: RawLayout,
  chunkBytes: number,
  choiceOf: (tensor: string) => CodecChoice = () => "balanced",
): ChunkCut[] {
  if (!Number.isInteger(chunkBytes) || chunkBytes < CHUNK_ALIGNMENT || chunkBytes > MAX_CHUNK_BYTES) {
    throw new RangeError(`chunkBytes is ${chunkBytes}; expected ${CHUNK_ALIGNMENT} to ${MAX_CHUNK_BYTES}`);
  }
  if (chunkBytes % CHUNK_ALIGNMENT !== 0) {
    throw new RangeError(`chunkBytes is ${chunkBytes}; expected a multiple of ${CHUNK_ALIGNMENT}`);
  }
  const owners = layout.tensors.filter((tensor) => tensor.aliasOf === undefined && tensor.byteLength > 0);
  const cuts: ChunkCut[] = [];
  for (let index = 0; index < owners.length;) {
    const first = owners[index] as (typeof owners)[number];
    const choice = choiceOf(first.name);
    const sharesChunks = ({ dtype, name, byteLength }: (typeof owners)[number]): boolean =>
      byteLength < OWN_CHUNKS_BYTES && dtype === first.dtype && choiceOf(name) === choice;
    index++;
    if (first.byteLength < OWN_CHUNKS_BYTES) {
      while (index < owners.length && sharesChunks(owners[index] as (typeof owners)[number])) index++;
    }
    const end = owners[index]?.rawOffset ?? layout.rawByteLength;
    for (let rawOffset = first.rawOffset; rawOffset < end; rawOffset += chunkBytes) {
      const rawLength = Math.min(chunkBytes, end - rawOffset);
      cuts.push({ rawOffset, rawLength, dtype: first.dtype, choice });
    }
  }
  return cuts;
}
