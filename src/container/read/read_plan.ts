import { alignUp } from "../../base/checked.ts";
import type { ChunkRecord } from "../format/chunk_table.ts";
import { FILE_ALIGNMENT } from "../format/trailer.ts";

/**
 * Up to this many bytes between chunks are read too, where that saves a read: a disk or a server takes longer to ask.
 */
export const MAX_GAP_BYTES: number = 64 * 1024;
/**
 * The most bytes in one read of several chunks, where the source does not prefer more: few enough that they are still
 * in the processor's cache when their checksum is taken.
 */
export const DEFAULT_READ_BYTES: number = 1024 * 1024;

/** Chunks that stand close to each other in the file, to be read together. */
export interface PlannedRead {
  readonly offset: number;
  readonly byteLength: number;
  /** Their indices, rising. */
  readonly chunks: readonly number[];
}

/** Length of a chunk in the file, with the zeros behind it. */
export function paddedLength(chunk: ChunkRecord): number {
  return alignUp(chunk.storedLength, FILE_ALIGNMENT);
}

/**
 * The reads that get the chunks `wanted`, whose indices rise, in the order of the file. Neighbours are read together,
 * as are those with small gaps between them, until a read has `readBytes`. A chunk is never cut.
 */
export function* planReads(
  chunks: readonly ChunkRecord[],
  wanted: Iterable<number>,
  readBytes: number,
): Generator<PlannedRead> {
  let group: number[] = [];
  let offset = 0;
  let end = 0;
  for (const index of wanted) {
    const chunk = chunks[index] as ChunkRecord;
    const chunkEnd = chunk.storedOffset + paddedLength(chunk);
    const isNear = chunk.storedOffset - end <= MAX_GAP_BYTES && chunkEnd - offset <= readBytes;
    if (group.length > 0 && !isNear) {
      yield { offset, byteLength: end - offset, chunks: group };
      group = [];
    }
    if (group.length === 0) offset = chunk.storedOffset;
    group.push(index);
    end = chunkEnd;
  }
  if (group.length > 0) yield { offset, byteLength: end - offset, chunks: group };
}
