import { describe, expect, test } from "bun:test";
import { copiesOf, mostOpenSums } from "../../src/parallel/open_sums.ts";
import { slicesOf } from "../../src/parallel/shards.ts";
import { additionsOf, nodesOf, type SumNode } from "../../src/parallel/sum_tree.ts";

/** How the sum of some nodes comes about, as brackets around numbers of shards. */
function brackets(nodes: readonly SumNode[], names: readonly string[] = nodes.map(treeOf)): string {
  const sums = [...names];
  for (const { into, from } of additionsOf(nodes)) sums[into] = `(${sums[into]}+${sums[from]})`;
  return sums[0] ?? "";
}

function treeOf({ first, count }: SumNode): string {
  if (count === 1) return String(first);
  const half = count / 2;
  return `(${treeOf({ first, count: half })}+${treeOf({ first: first + half, count: half })})`;
}

describe("slices", () => {
  test("are as equal as they can be, the first ones the larger", () => {
    expect(slicesOf(11, 4)).toEqual([
      { first: 0, size: 3 },
      { first: 3, size: 3 },
      { first: 6, size: 3 },
      { first: 9, size: 2 },
    ]);
    expect(slicesOf(8, 2)).toEqual([{ first: 0, size: 4 }, { first: 4, size: 4 }]);
  });

  test("that would be empty are none", () => {
    expect(slicesOf(2, 8)).toEqual([{ first: 0, size: 1 }, { first: 1, size: 1 }]);
    expect(slicesOf(0, 8)).toEqual([]);
  });
});

describe("the sum over shards", () => {
  test("is a binary tree, of any number of shards", () => {
    expect(brackets(nodesOf(0, 8))).toBe("(((0+1)+(2+3))+((4+5)+(6+7)))");
    expect(brackets(nodesOf(0, 7))).toBe("(((0+1)+(2+3))+((4+5)+6))");
    expect(brackets(nodesOf(0, 5))).toBe("(((0+1)+(2+3))+4)");
    expect(brackets(nodesOf(0, 3))).toBe("((0+1)+2)");
    expect(brackets(nodesOf(0, 1))).toBe("0");
  });

  test("is the same tree for every number of ranks, also where a batch has fewer shards", () => {
    for (let shards = 1; shards <= 17; shards++) {
      for (let present = 1; present <= shards; present++) {
        const alone = brackets(nodesOf(0, present));
        for (let ranks = 1; ranks <= shards; ranks++) {
          const nodes = slicesOf(shards, ranks).flatMap(({ first, size }) =>
            nodesOf(Math.min(first, present), Math.min(first + size, present))
          );
          expect(brackets(nodes)).toBe(alone);
        }
      }
    }
  });

  test("of the shards of a rank takes as few nodes as there are", () => {
    expect(nodesOf(0, 4)).toEqual([{ first: 0, count: 4 }]);
    expect(nodesOf(3, 6)).toEqual([{ first: 3, count: 1 }, { first: 4, count: 2 }]);
    expect(nodesOf(4, 4)).toEqual([]);
  });

  test("needs memory for as many sums as the number of shards has digits", () => {
    expect(mostOpenSums(0, 1)).toBe(1);
    expect(mostOpenSums(0, 2)).toBe(1);
    expect(mostOpenSums(0, 8)).toBe(3);
    expect(mostOpenSums(0, 16)).toBe(4);
    expect(mostOpenSums(3, 6)).toBe(2);
    expect(copiesOf({ shards: 8 })).toBe(4);
  });
});
