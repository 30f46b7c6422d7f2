import { describe, expect, test } from "bun:test";
import { gradients } from "../../../../src/graph/autodiff.ts";
import { fuse, type FusedGroup } from "../../../../src/graph/fusion.ts";
import * as ops from "../../../../src/graph/ops.ts";
import type { Value } from "../../../../src/graph/value.ts";
import { HostTensor } from "../../../../src/tensor/host_tensor.ts";
import { gpuTest } from "../../../helpers/gpu.ts";
import { runValues } from "../../run_values.ts";

const { input, slice } = ops;

function f32(...shape: number[]): Value {
  return input("x", "f32", shape);
}

function kernelsOf(...roots: Value[]): FusedGroup[] {
  return [...fuse(roots).values()];
}

/** Each kernel as the ops in it, and what it reads in memory. */
function described(groups: readonly FusedGroup[]): string[] {
  return groups.map(({ members, leaves }) =>
    `${members.map(({ op }) => op).join(" ")} of ${leaves.map(({ source }) => source.op).join(" ")}`
  );
}

/** 0, 1, 2, … in a shape. */
function counted(...shape: number[]): Value {
  const count = shape.reduce((product, size) => product * size, 1);
  return ops.constant(HostTensor.from(Array.from({ length: count }, (_, index) => index), shape, "f32"));
}

describe("shapes of moved elements", () => {
  test("OP-02 slice takes limits as JavaScript does, and every step-th element", () => {
    expect(slice(f32(7, 2), { start: 2 }).shape).toEqual([5, 2]);
    expect(slice(f32(7, 2), { start: -3, end: -1 }).shape).toEqual([2, 2]);
    expect(slice(f32(7, 2), { axis: 1, end: 99 }).shape).toEqual([7, 2]);
    expect(slice(f32(7, 2), { start: 1, step: 3 }).shape).toEqual([2, 2]);
    expect(slice(f32(7, 2), { start: 5, end: 2 }).shape).toEqual([0, 2]);
  });

  test("OP-02 split cuts pieces of a size or of the sizes that it is given, as in PyTorch", () => {
    expect(ops.split(f32(7, 2), 3).map(({ shape }) => shape)).toEqual([[3, 2], [3, 2], [1, 2]]);
    expect(ops.split(f32(2, 6), [1, 0, 5], { axis: 1 }).map(({ shape }) => shape)).toEqual([
      ...[[2, 1], [2, 0], [2, 5]],
    ]);
  });

  test("OP-02 pad takes a pair for each axis, or for the last ones", () => {
    expect(ops.pad(f32(2, 3), [[1, 0], [2, 3]]).shape).toEqual([3, 8]);
    expect(ops.pad(f32(2, 3), [[1, 1]], { mode: "reflect" }).shape).toEqual([2, 5]);
    expect(ops.pad(f32(0, 3), [[1, 1], [0, 0]]).shape).toEqual([2, 3]);
  });

  test("OP-02 concat, stack, tile, expandDims and squeeze", () => {
    expect(ops.concat([f32(2, 3), f32(4, 3), f32(0, 3)]).shape).toEqual([6, 3]);
    expect(ops.stack([f32(2, 3), f32(2, 3)], { axis: -1 }).shape).toEqual([2, 3, 2]);
    expect(ops.tile(f32(2, 3), [2, 1, 3]).shape).toEqual([2, 2, 9]);
    expect(ops.tile(f32(2, 3), [0]).shape).toEqual([2, 0]);
    expect(ops.expandDims(f32(2, 3), -1).shape).toEqual([2, 3, 1]);
    expect(ops.squeeze(f32(1, 3, 1)).shape).toEqual([3]);
    expect(ops.squeeze(f32(1, 3, 1), { axes: -1 }).shape).toEqual([1, 3]);
  });

  test("OP-02 what moves nothing is the value itself, and a moved number stays a number", () => {
    const x = f32(3, 1);
    expect(slice(x, { end: 3 })).toBe(x);
    expect(ops.pad(x, [[0, 0]])).toBe(x);
    expect(ops.flip(x, { axes: 1 })).toBe(x);
    expect(ops.concat([x])).toBe(x);
    expect(
      kernelsOf(
        ops.mul(ops.pad(slice(ops.flip(ops.zeros([4])), { start: 2 }), [[0, 2]]), input("y", "f32", [4])),
      ),
    )
      .toHaveLength(1);
  });
});

describe("reads of moved elements", () => {
  test("OP-02 slices, flips, pads and transposes of one another are read where they are, by one kernel", () => {
    const x = f32(6, 5);
    const moved = ops.pad(ops.flip(slice(ops.transpose(x), { start: 1, end: 4 })), [[1, 2], [0, 0]]);
    expect(described(kernelsOf(ops.add(moved, ops.exp(f32(6, 6)))))).toEqual(["exp add of input input"]);
  });

  test("OP-02 a slice whose axis is dropped is read where it is", () => {
    const step = ops.squeeze(slice(f32(4, 3, 2), { axis: 1, start: 2 }), { axes: 1 });
    expect(described(kernelsOf(ops.tanh(step)))).toEqual(["tanh of input"]);
  });

  test("OP-02 concat is one kernel with what is computed of it, and so is the gradient of split", () => {
    const [a, b] = [input("a", "f32", [4, 2]), input("b", "f32", [4, 3])];
    expect(described(kernelsOf(ops.relu(ops.concat([a, b], { axis: 1 }))))).toEqual([
      "concat relu of input input",
    ]);
    const x = f32(4, 6);
    const loss = ops.split(x, 2, { axis: 1 }).map((part) => ops.sum(ops.square(part)))
      .reduce((total, part) => ops.add(total, part));
    // What flows into each piece, and one kernel that puts the pieces together.
    expect(described(kernelsOf(...gradients(loss, [x]))).at(-1)).toBe("add add of mul mul mul");
  });

  test("OP-02 what is computed before it is moved is computed once, in memory", () => {
    expect(described(kernelsOf(ops.add(slice(ops.exp(f32(4)), { start: 1 }), 1)))).toEqual([
      "exp of input",
      "number add of exp",
    ]);
  });

  test("OP-02 a transposed value that several kernels read is copied once", () => {
    const turned = ops.transpose(f32(4, 3));
    expect(described(kernelsOf(ops.sum(ops.exp(turned)), ops.mean(ops.tanh(turned))))).toEqual([
      "transpose of input",
      "exp of transpose",
      "tanh of transpose",
    ]);
  });

  gpuTest("OP-02 every element comes from where it should, at odd sizes, copied and read", async (gpu) => {
    const x = counted(5, 7);
    const made = [
      slice(x, { axis: 1, start: 1, step: 2 }),
      ops.flip(ops.transpose(x)),
      ops.pad(slice(x, { start: 4 }), [[1, 0], [0, 1]], { value: -1 }),
      ops.pad(counted(4), [[3, 2]], { mode: "reflect" }),
      ops.pad(counted(3), [[2, 1]], { mode: "replicate" }),
      ops.concat([counted(2, 2), ops.flip(counted(2, 3))], { axis: 1 }),
      ops.tile(counted(2, 2), [1, 2]),
      ops.concat(Array.from({ length: 15 }, () => counted(1))),
    ];
    const found = await runValues(gpu, [...made, ...made.map((value) => ops.add(value, 1))], {});
    const numbers = found.map((tensor) => Array.from(tensor.toArray(), Number));
    expect(numbers.slice(0, made.length)).toEqual([
      [1, 3, 5, 8, 10, 12, 15, 17, 19, 22, 24, 26, 29, 31, 33],
      Array.from({ length: 35 }, (_, index) => 34 - (index % 5 * 7 + Math.floor(index / 5))),
      [...Array<number>(8).fill(-1), 28, 29, 30, 31, 32, 33, 34, -1],
      [3, 2, 1, 0, 1, 2, 3, 2, 1],
      [0, 0, 0, 1, 2, 2],
      [0, 1, 5, 4, 3, 2, 3, 2, 1, 0],
      [0, 1, 0, 1, 2, 3, 2, 3],
      Array<number>(15).fill(0),
    ]);
    expect(numbers.slice(made.length)).toEqual(
      numbers.slice(0, made.length).map((list) => list.map((x) => x + 1)),
    );
  });

  gpuTest("OP-02 nothing, with padding around it, is the padding", async (gpu) => {
    const padded = ops.neg(ops.pad(f32(3, 0), [[0, 8]], { value: 2 }));
    const [found] = await runValues(gpu, [padded], { x: [] });
    expect(Array.from(found?.toArray() ?? [], Number)).toEqual(Array<number>(24).fill(-2));
  });

  gpuTest("OP-02 NaN, infinities and zeros of both signs keep their bits, integers too", async (gpu) => {
    const special = [NaN, -0, Infinity, 0, -Infinity, 1];
    const x = f32(6);
    const integers = input("n", "i32", [3]);
    const values = [
      ops.concat([x, ops.pad(x, [[1, 0]], { value: NaN })]),
      ops.concat([integers, ops.flip(integers)]),
    ];
    const found = await runValues(gpu, values, { x: special, n: [-1, 2 ** 31 - 1, -(2 ** 31)] });
    const numbers = found.map((tensor) => Array.from(tensor.toArray(), Number));
    expect(numbers[0]).toEqual([...special, NaN, ...special]);
    expect(numbers[1]).toEqual([-1, 2 ** 31 - 1, -(2 ** 31), -(2 ** 31), 2 ** 31 - 1, -1]);
  });
});

describe("mistakes with moved elements", () => {
  const mistakes: [name: string, make: () => unknown, message: string][] = [
    [
      "a backward step",
      () => slice(f32(4), { step: -1 }),
      "slice: the step is a whole number from 1 on, not -1; flip()",
    ],
    [
      "half an element",
      () => slice(f32(4), { start: 0.5 }),
      "slice: start, end and step are whole numbers, not 0.5",
    ],
    [
      "sizes that do not add up",
      () => ops.split(f32(4), [1, 2]),
      "split: sizes [1, 2] do not cut axis 0 of shape [4]",
    ],
    [
      "pieces of nothing",
      () => ops.split(f32(4), 0),
      "split: the size of a piece is a whole number from 1 on, not 0",
    ],
    [
      "a negative padding",
      () => ops.pad(f32(4), [[-1, 0]]),
      "pad: sizes are whole numbers from 0 on, not -1",
    ],
    ["padding of more axes", () => ops.pad(f32(4), [[1, 0], [0, 0]]), "pad: 2 pairs for shape [4]"],
    [
      "a reflection that is too wide",
      () => ops.pad(f32(4), [[4, 0]], { mode: "reflect" }),
      "pad: axis 0 of shape [4] has too few elements to reflect 4 of them",
    ],
    [
      "an edge of nothing",
      () => ops.pad(f32(0), [[1, 0]], { mode: "replicate" }),
      "too few elements at the edge",
    ],
    [
      "an unknown mode",
      () => Reflect.apply(ops.pad, undefined, [f32(4), [[1, 1]], { mode: "wrap" }]),
      'pad: the mode is "constant", "reflect" or "replicate", not wrap',
    ],
    ["concat of nothing", () => ops.concat([]), "concat: there is no value to begin with"],
    [
      "concat of other shapes",
      () => ops.concat([f32(2, 3), f32(2, 4)]),
      "concat: shapes [2, 3] and [2, 4] differ elsewhere",
    ],
    [
      "concat of another rank",
      () => ops.concat([f32(2, 3), f32(2)]),
      "concat: shapes [2, 3] and [2] differ elsewhere",
    ],
    ["stack of other shapes", () => ops.stack([f32(2), f32(3)]), "stack: shapes [2] and [3] differ"],
    [
      "an axis that is not 1",
      () => ops.squeeze(f32(2, 1), { axes: 0 }),
      "squeeze: axis 0 of shape [2, 1] has size 2, not 1",
    ],
    [
      "tile of less than nothing",
      () => ops.tile(f32(2), [-1]),
      "tile: repeats are whole numbers from 0 on, not -1",
    ],
    ["an axis that is not there", () => ops.flip(f32(2), { axes: 1 }), "flip: shape [2] has no axis 1"],
    [
      "a storage dtype",
      () => slice(input("h", "f16", [4]), { end: 2 }),
      "slice: takes f32, i32, u32, not f16",
    ],
  ];
  for (const [name, make, message] of mistakes) {
    test(`OP-02 refuses ${name}, and says what to do`, () => expect(make).toThrow(message));
  }
});
