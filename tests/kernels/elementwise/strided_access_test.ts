import { describe, expect, test } from "bun:test";
import { elementwise } from "../../../src/kernels/elementwise/elementwise.ts";
import type { Expression } from "../../../src/kernels/elementwise/expression.ts";
import { collapse, vectorWidthOf, type Walk } from "../../../src/kernels/elementwise/strided_access.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";

/** What a walk reads at each place, row by row; `fill` outside of its bounds. */
function walked(shape: readonly number[], walk: Walk, elements: ArrayLike<number>, fill: number): number[] {
  const { strides, offset = 0, bounds = [] } = walk;
  const count = shape.reduce((product, size) => product * size, 1);
  return Array.from({ length: count }, (_, index) => {
    let rest = index;
    const place = shape.map((size, axis) => {
      const inner = shape.slice(axis + 1).reduce((product, of) => product * of, 1);
      const at = Math.floor(rest / inner) % size;
      rest %= inner;
      return at;
    });
    const isInside = bounds.every(({ axis, from, to }) =>
      (place[axis] ?? -1) >= from && (place[axis] ?? -1) < to
    );
    const address = place.reduce((total, at, axis) => total + at * (strides[axis] ?? 0), offset);
    return isInside ? elements[address] ?? NaN : fill;
  });
}

describe("walks", () => {
  test("dimensions join where every tensor goes on, and their bounds grow with them", () => {
    const walk = { strides: [12, 4, 1], offset: -24, bounds: [{ axis: 0, from: 2, to: 5 }] };
    const collapsed = collapse([6, 3, 4], [walk]);
    expect(collapsed).toEqual({
      sizes: [72],
      walks: [{ strides: [1], offset: -24, bounds: [{ axis: 0, from: 24, to: 60 }] }],
    });
    expect(vectorWidthOf(collapsed)).toBe(4);
  });

  test("a dimension with bounds joins no outer one, and halves of a vector are read one by one", () => {
    const walk = { strides: [4, 1], bounds: [{ axis: 1, from: 0, to: 3 }] };
    const collapsed = collapse([6, 4], [walk]);
    expect(collapsed.sizes).toEqual([6, 4]);
    expect(vectorWidthOf(collapsed)).toBe(1);
  });

  test("a single place outside of its bounds leaves nothing to walk", () => {
    expect(collapse([1, 4], [{ strides: [0, 1], bounds: [{ axis: 0, from: 1, to: 2 }] }]).walks).toEqual([
      undefined,
    ]);
  });

  test("bounds of a missing dimension are refused", () => {
    const walk = { binding: "x", dtype: "f32" as const, strides: [1], bounds: [{ axis: 1, from: 0, to: 1 }] };
    const outputs = [{
      binding: "out",
      dtype: "f32" as const,
      expression: { kind: "input" as const, index: 0 },
    }];
    expect(() => elementwise({ inputs: [walk], outputs, shape: [2] })).toThrow(
      "bounds along dimension 1 of 1",
    );
  });

  const WALKS: [name: string, shape: number[], walk: Walk][] = [
    ["transposed", [8, 7], { strides: [1, 8] }],
    ["repeated along rows and columns", [3, 4, 5], { strides: [0, 1, 0] }],
    ["of one element everywhere", [6], { strides: [0], offset: 3 }],
    ["backwards", [7, 5], { strides: [-5, -1], offset: 34 }],
    ["every other", [3, 8], { strides: [16, 2], offset: 1 }],
    ["with a border all around", [5, 9], {
      strides: [7, 1],
      offset: -9,
      bounds: [{ axis: 0, from: 1, to: 4 }, { axis: 1, from: 2, to: 8 }],
    }],
    ["with whole vectors before and behind", [3, 16], {
      strides: [8, 1],
      offset: -4,
      bounds: [{ axis: 1, from: 4, to: 12 }],
    }],
    ["outside everywhere", [4, 1], { strides: [1, 0], bounds: [{ axis: 1, from: 1, to: 1 }] }],
    ["repeated inside of bounds", [6, 4], { strides: [0, 1], bounds: [{ axis: 0, from: 2, to: 5 }] }],
  ];
  const elements = Float32Array.from({ length: 64 }, (_, index) => index + 0.5);
  for (const [name, shape, walk] of WALKS) {
    gpuTest(`are read ${name}`, async (gpu) => {
      const count = shape.reduce((product, size) => product * size, 1);
      const out = new Float32Array(count);
      const expression: Expression = { kind: "input", index: 0 };
      const dispatch = elementwise<HostArray>({
        inputs: [{ binding: elements, dtype: "f32", fill: -3, ...walk }],
        outputs: [{ binding: out, dtype: "f32", expression }],
        shape,
      });
      const [found] = await runDispatch(gpu, dispatch, [out]);
      expect(Array.from(found ?? [], Number)).toEqual(walked(shape, walk, elements, -3));
    });
  }
});
