/**
 * The sum of some neighbours among the shards of a batch. Whoever forms it, it is the same: as long as one node begins
 * at a multiple of its count, and that is a power of two, it is one of the tree.
 */
export interface SumNode {
  /** The number of the first shard, from 0. */
  readonly first: number;
  /** How many shards. */
  readonly count: number;
}

/** What is added to what, by their places in a list of nodes. */
export interface Addition {
  readonly into: number;
  readonly from: number;
}

/** The fewest nodes that shards `from` to below `to` can be added up to without any other shard. */
export function nodesOf(from: number, to: number): SumNode[] {
  const nodes: SumNode[] = [];
  for (let first = from; first < to;) {
    let count = 1;
    while (first % (2 * count) === 0 && first + 2 * count <= to) count *= 2;
    nodes.push({ first, count });
    first += count;
  }
  return nodes;
}

/** Whether two nodes, one behind the other, are the two halves of a node. */
export function areHalves(left: SumNode | undefined, right: SumNode | undefined): boolean {
  return left !== undefined && right !== undefined && left.count === right.count &&
    left.first % (2 * left.count) === 0 && left.first + left.count === right.first;
}

/**
 * How `nodes` of all shards, in order, become one sum, which is at the place of the first. The order of the additions
 * is that of a binary tree over the shards, whatever the nodes are: halves join, and what is left over joins from the
 * right.
 */
export function additionsOf(nodes: readonly SumNode[]): Addition[] {
  const open: (SumNode & { readonly at: number })[] = [];
  const additions: Addition[] = [];
  const join = (): void => {
    const right = open.pop();
    const left = open.pop();
    if (left === undefined || right === undefined) return;
    additions.push({ into: left.at, from: right.at });
    open.push({ ...left, count: left.count + right.count });
  };
  nodes.forEach((node, at) => {
    open.push({ ...node, at });
    while (areHalves(open.at(-2), open.at(-1))) join();
  });
  while (open.length > 1) join();
  return additions;
}
