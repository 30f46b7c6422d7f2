import { describe, expect } from "bun:test";
import { gradients } from "../../../src/graph/autodiff.ts";
import * as ops from "../../../src/graph/ops.ts";
import { sizeOf, type Value } from "../../../src/graph/value.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { runValues } from "../run_values.ts";

const x = ops.input("x", "f32", [2, 0, 3]);
const rows = ops.input("y", "f32", [4, 3]);
const none = ops.input("i", "u32", [0]);

const CASES: [name: string, value: Value, elements: number[]][] = [
  ["OP-01 matmul of no matrices", ops.matmul(ops.slice(x, { axis: 0, end: 0 }), ops.zeros([3, 2])), []],
  ["OP-01 matmul of no terms", ops.matmul(ops.transpose(x, [0, 2, 1]), x), Array<number>(18).fill(0)],
  [
    "OP-02 concat of nothing and something",
    ops.concat([ops.slice(rows, { end: 0 }), rows]),
    Array<number>(12).fill(1),
  ],
  ["OP-02 flip of nothing", ops.flip(x), []],
  ["OP-02 pad of nothing", ops.pad(ops.slice(rows, { end: 0 }), [[1, 0], [0, 0]], { value: 5 }), [5, 5, 5]],
  ["OP-02 tile of nothing", ops.tile(x, [2]), []],
  ["OP-05 take of no rows", ops.take(rows, none), []],
  ["OP-05 scatter of no rows", ops.scatter(rows, none, ops.zeros([0, 3])), Array<number>(12).fill(1)],
  [
    "OP-05 scatter of no rows that adds up",
    ops.scatter(rows, none, ops.zeros([0, 3]), { reduce: "sum" }),
    Array<number>(12).fill(1),
  ],
  ["OP-05 oneHot of nothing", ops.oneHot(none, 3), []],
  ["OP-06 cumsum of nothing", ops.cumsum(x, { axis: 1 }), []],
  ["OP-06 sort of nothing", ops.sort(x, { axis: 1 }).values, []],
  ["OP-06 topK of none", ops.topK(rows, 0).values, []],
  ["OP-06 prod of nothing", ops.prod(x, { axes: 1 }), Array<number>(6).fill(1)],
  ["OP-07 activations of nothing", ops.gelu(ops.mish(x)), []],
  ["OP-08 softmax of nothing", ops.softmax(x), []],
  ["OP-08 softmax along nothing", ops.logSoftmax(x, { axis: 1 }), []],
];

describe("tensors without elements", () => {
  for (const [name, value, elements] of CASES) {
    gpuTest(`${name}, and its gradient`, async (gpu) => {
      const leaves = [x, rows];
      const found = await runValues(gpu, [value, ...gradients(ops.sum(value), leaves)], {
        x: [],
        y: Array<number>(12).fill(1),
        i: [],
      });
      expect(Array.from(found[0]?.toArray() ?? [], Number)).toEqual(elements);
      leaves.forEach((leaf, index) => expect(found[index + 1]?.toArray().length).toBe(sizeOf(leaf)));
    });
  }
});
