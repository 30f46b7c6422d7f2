import type { StateValue } from "../../src/container/format/state_tree.ts";

/** Trees of some `count` values each, in every form that grows. */
export const LARGE_TREES: readonly [what: string, treeOf: (count: number) => StateValue][] = [
  ["an array", (count) => Array.from({ length: count }, (_, index) => index / 4)],
  [
    "fields",
    (count) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, index])),
  ],
  ["a map", (count) => new Map(Array.from({ length: count }, (_, index) => [`k${index}`, index]))],
  ["a set", (count) => new Set(Array.from({ length: count }, (_, index) => `k${index}`))],
  [
    "records with lists",
    (count) => Array.from({ length: count / 5 }, (_, id) => ({ id, name: `n${id}`, at: [id, null] })),
  ],
  [
    "a deep tree",
    (count) => {
      let tree: StateValue = [];
      for (let level = 0; level < 100; level++) {
        tree = { below: tree, items: Array.from({ length: count / 100 }, (_, index) => index) };
      }
      return tree;
    },
  ],
];
