import type { DataParallelOptions } from "./data_parallel_options.ts";

/** A slice of something in order: a shard of a batch, or the shards of a rank. */
export interface Slice {
  /** The first of it, from 0. */
  readonly first: number;
  readonly size: number;
}

/**
 * `total` things in `count` slices, in order. Where that does not divide, the first ones have one more; slices that
 * would be empty are left out.
 */
export function slicesOf(total: number, count: number): Slice[] {
  const least = Math.floor(total / count);
  const larger = total % count;
  const slices: Slice[] = [];
  for (let index = 0, first = 0; index < count && first < total; index++) {
    const size = least + (index < larger ? 1 : 0);
    slices.push({ first, size });
    first += size;
  }
  return slices;
}

/** Which shards this rank computes, of batches that have all of them: from one, to below the other. */
export function ownShards(
  { group, shards }: DataParallelOptions,
): { readonly from: number; readonly to: number } {
  const { first = 0, size = 0 } = slicesOf(shards, group?.size ?? 1)[group?.rank ?? 0] ?? {};
  return { from: first, to: first + size };
}
