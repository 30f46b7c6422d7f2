import { describe, expect, test } from "bun:test";
import { gradients } from "../../../../src/graph/autodiff.ts";
import { indexLimits } from "../../../../src/graph/index_limits.ts";
import * as ops from "../../../../src/graph/ops.ts";
import type { Value } from "../../../../src/graph/value.ts";
import { gpuTest } from "../../../helpers/gpu.ts";
import { interpret } from "../../../helpers/interpreter.ts";
import { runValues } from "../../run_values.ts";

function f32(...shape: number[]): Value {
  return ops.input("x", "f32", shape);
}

function u32(...shape: number[]): Value {
  return ops.input("i", "u32", shape);
}

describe("shapes of what is taken by indices", () => {
  test("OP-05 take puts the axes of the indices in the place of the axis", () => {
    expect(ops.take(f32(5, 3), u32(2, 4)).shape).toEqual([2, 4, 3]);
    expect(ops.take(f32(5, 3), u32(), { axis: 1 }).shape).toEqual([5]);
    expect(ops.take(f32(5, 3), u32(0), { axis: -1 }).shape).toEqual([5, 0]);
    expect(ops.embedding(f32(9, 4), u32(2, 3)).shape).toEqual([2, 3, 4]);
    expect(ops.oneHot(u32(2, 3), 5).shape).toEqual([2, 3, 5]);
  });

  test("OP-05 takeAlongAxis broadcasts along the other axes, gather takes the first of them", () => {
    expect(ops.takeAlongAxis(f32(4, 1, 3), u32(2, 5, 1)).shape).toEqual([2, 5, 3]);
    expect(ops.gather(f32(4, 5), u32(7, 2)).shape).toEqual([7, 2]);
    expect(ops.scatter(f32(4, 5), u32(2, 5), ops.zeros([2, 5])).shape).toEqual([4, 5]);
  });
});

describe("limits of indices", () => {
  test("OP-05 what is given for indices is looked at by the axis that they go along", () => {
    const limitOf = (value: Value) => indexLimits([value]).get("i")?.below;
    expect(limitOf(ops.take(f32(5, 3), u32(2)))).toBe(5);
    expect(limitOf(ops.take(f32(5, 3), ops.input("i", "u8", [2]), { axis: 1 }))).toBe(3);
    expect(limitOf(ops.embedding(f32(9, 4), ops.transpose(ops.input("i", "i32", [2, 3]))))).toBe(9);
    expect(limitOf(ops.takeAlongAxis(f32(4, 3), u32(1, 3)))).toBe(4);
    expect(limitOf(ops.oneHot(u32(2), 7))).toBe(7);
    expect(limitOf(ops.scatter(f32(4, 3), u32(2), ops.zeros([2, 3])))).toBe(4);
    expect(limitOf(ops.scatter(f32(4, 3), u32(2), ops.zeros([2, 3]), { reduce: "sum" }))).toBe(4);
  });

  test("OP-05 a slice of what is given says nothing of the rest", () => {
    expect(indexLimits([ops.take(f32(5), ops.slice(u32(4), { end: 2 }))]).has("i")).toBe(false);
  });
});

describe("elements by indices", () => {
  gpuTest("OP-05 an index outside gives NaN, or 0 for integers, and writes nothing", async (gpu) => {
    const [x, i, n] = [f32(3), u32(4), ops.input("n", "i32", [3])];
    const made = [
      ops.take(x, i),
      ops.take(n, i),
      ops.oneHot(i, 2),
      ops.scatter(x, i, ops.full([4], 9)),
      ops.scatter(x, i, ops.full([4], 9), { reduce: "sum" }),
    ];
    const found = await runValues(gpu, made, { x: [1, 2, 3], i: [2, 3, 2 ** 32 - 1, 0], n: [-4, 5, 6] });
    expect(found.map((tensor) => Array.from(tensor.toArray(), Number))).toEqual([
      [3, NaN, NaN, 1],
      [6, 0, 0, -4],
      [0, 0, 0, 0, 0, 0, 1, 0],
      [9, 2, 9],
      [10, 2, 12],
    ]);
  });

  gpuTest(
    "OP-05 the gradient of an embedding is a sum in a fixed order: the same bits twice, exact for many uses of a row",
    async (gpu) => {
      const [weights, i] = [ops.input("w", "f32", [50, 3]), u32(700)];
      const scale = ops.input("s", "f32", [700, 3]);
      const [gradient = weights] = gradients(ops.sum(ops.mul(ops.embedding(weights, i), scale)), [weights]);
      const w = Array<number>(150).fill(0);
      const indices = Array.from({ length: 700 }, (_, index) => index % 7 === 0 ? index % 50 : 3);
      const s = Array.from({ length: 2100 }, (_, index) => Math.fround(1 / (1 + index % 97)));
      const [first] = await runValues(gpu, [gradient], { w, i: indices, s });
      const [second] = await runValues(gpu, [gradient], { w, i: indices, s });
      expect(first?.bytes).toEqual(second?.bytes ?? new Uint8Array(0));
      const exact = interpret([gradient], { inputs: { w, i: indices, s } })[0] ?? [];
      Array.from(first?.toArray() ?? [], Number).forEach((found, index) => {
        expect(Math.abs(found - (exact[index] ?? NaN))).toBeLessThan(
          4.8e-7 * Math.abs(exact[index] ?? 0) + 1e-30,
        );
      });
    },
  );

  test("OP-05 the padding row of an embedding gets no gradient", () => {
    const weights = ops.input("w", "f32", [3, 2]);
    const loss = ops.sum(ops.embedding(weights, u32(3), { paddingIndex: 1 }));
    expect(interpret(gradients(loss, [weights]), { inputs: { w: [1, 2, 3, 4, 5, 6], i: [1, 2, 1] } }))
      .toEqual([
        Float64Array.of(0, 0, 0, 0, 1, 1),
      ]);
  });

  test("OP-05 scatter passes no gradient to elements that updates replace", () => {
    const [x, y] = [f32(4), ops.input("y", "f32", [2])];
    const loss = ops.sum(ops.mul(ops.scatter(x, u32(2), y), ops.input("s", "f32", [4])));
    expect(
      interpret(gradients(loss, [x, y]), {
        inputs: { x: [1, 2, 3, 4], y: [5, 6], i: [2, 0], s: [1, 2, 3, 4] },
      }),
    )
      .toEqual([Float64Array.of(0, 2, 0, 4), Float64Array.of(3, 1)]);
  });
});

describe("mistakes with indices", () => {
  const mistakes: [name: string, make: () => unknown, message: string][] = [
    [
      "indices that are no whole numbers",
      () => ops.take(f32(4), f32(2)),
      "take: indices are u32, i32 or u8, not f32 of shape [2]",
    ],
    [
      "weights that are no matrix",
      () => ops.embedding(f32(4), u32(2)),
      "embedding: the weights are [rows, width], not [4]",
    ],
    [
      "a padding row outside the table",
      () => ops.embedding(f32(4, 2), u32(2), { paddingIndex: 4 }),
      "embedding: the padding index is a row of [4, 2], not 4",
    ],
    [
      "indices of another rank",
      () => ops.takeAlongAxis(f32(4, 2), u32(2)),
      "takeAlongAxis: shapes [4, 2] and [2] differ in their number of axes",
    ],
    [
      "indices that do not broadcast",
      () => ops.takeAlongAxis(f32(4, 2), u32(3, 3)),
      "takeAlongAxis: shapes [4, 2] and [3, 3] do not broadcast elsewhere than on axis 0",
    ],
    [
      "indices for more columns than there are",
      () => ops.gather(f32(4, 2), u32(3, 3)),
      "gather: indices of shape [3, 3] reach beyond [4, 2] elsewhere than on axis 0",
    ],
    [
      "updates of another shape",
      () => ops.scatter(f32(4, 2), u32(3), ops.zeros([3, 3])),
      "scatter: indices [3] and updates [3, 3] do not fit [4, 2] along axis 0",
    ],
    [
      "an unknown reduction",
      () => Reflect.apply(ops.scatter, undefined, [f32(4), u32(2), ops.zeros([2]), { reduce: "max" }]),
      'scatter: reduce is "sum" or left out, not max',
    ],
    [
      "half a class",
      () => ops.oneHot(u32(2), 1.5),
      "oneHot: the number of classes is a whole number from 0 on, not 1.5",
    ],
  ];
  for (const [name, make, message] of mistakes) {
    test(`OP-05 refuses ${name}, and says what to do`, () => expect(make).toThrow(message));
  }
});
