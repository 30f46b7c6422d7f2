import type { ChunkRecord } from "./chunk_table.ts";

/** Index of the chunk with the raw byte at `rawOffset`, by binary search; 0 where there are no chunks. */
export function chunkAt(chunks: readonly ChunkRecord[], rawOffset: number): number {
  let low = 0;
  let high = Math.max(chunks.length - 1, 0);
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if ((chunks[middle]?.rawOffset ?? 0) <= rawOffset) low = middle;
    else high = middle - 1;
  }
  return low;
}
