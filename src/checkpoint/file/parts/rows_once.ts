import type { RowShard } from "../../../container/format/part_list.ts";

/** Rows of a tensor that no shard has, or more than one. */
export interface RowFlaw {
  readonly kind: "missing" | "twice";
  readonly start: number;
  readonly end: number;
}

/** Orders shards by their rows. An empty one changes nothing wherever it stands. */
export function byRows(a: RowShard, b: RowShard): number {
  return a.start - b.start || a.end - b.end;
}

/**
 * The first rows that are not there exactly once; `undefined` when all of them are. The shards are in order of
 * {@link byRows}.
 */
export function flawInRows(shards: readonly RowShard[], rows: number): RowFlaw | undefined {
  let end = 0;
  for (const shard of shards) {
    if (shard.start > end) return { kind: "missing", start: end, end: shard.start };
    if (shard.start < end) return { kind: "twice", start: shard.start, end };
    end = shard.end;
  }
  return end === rows ? undefined : { kind: "missing", start: end, end: rows };
}
