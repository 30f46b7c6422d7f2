import type { DataParallelOptions } from "./data_parallel_options.ts";
import { ownShards } from "./shards.ts";
import { areHalves, type SumNode } from "./sum_tree.ts";

/**
 * How many copies of what is added up a rank has: one of the shard that is computed, and as many as there are sums open
 * at once, at most.
 */
export function copiesOf(parallel: DataParallelOptions): number {
  const { from, to } = ownShards(parallel);
  return 1 + mostOpenSums(from, to);
}

/** How many sums of shards `from` to below `to` there are at once, at most. */
export function mostOpenSums(from: number, to: number): number {
  let most = 0;
  const open: SumNode[] = [];
  for (let first = from; first < to; first++) {
    const joins = pushed(open, first);
    most = Math.max(most, open.length + (joins > 0 ? joins - 1 : 0));
  }
  return most;
}

/** Puts the shard `first` on `open`, and joins what are halves. Gives how often. */
export function pushed(open: SumNode[], first: number): number {
  let node: SumNode = { first, count: 1 };
  let joins = 0;
  for (let left = open.at(-1); left !== undefined && areHalves(left, node); left = open.at(-1)) {
    open.pop();
    node = { first: left.first, count: left.count + node.count };
    joins++;
  }
  open.push(node);
  return joins;
}
