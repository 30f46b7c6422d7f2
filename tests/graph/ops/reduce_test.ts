import { describe, expect, test } from "bun:test";
import { gradients } from "../../../src/graph/autodiff.ts";
import { argmax } from "../../../src/graph/ops/argmax.ts";
import { mul } from "../../../src/graph/ops/arithmetic.ts";
import { max, min } from "../../../src/graph/ops/reduce.ts";
import type { ReductionOptions } from "../../../src/graph/ops/reduction_axes.ts";
import { sum } from "../../../src/graph/ops/sum.ts";
import { constant, input } from "../../../src/graph/ops/sources.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { runValues } from "../run_values.ts";

const [N, I] = [NaN, Infinity];

type Numbers = readonly number[];

/** Where the gradient of the sum of the results goes. */
async function gradientOf(
  gpu: GpuDevice,
  op: typeof max,
  shape: Numbers,
  elements: Numbers,
  options: ReductionOptions = {},
): Promise<number[]> {
  const x = input("x", "f32", shape);
  const [found] = await runValues(gpu, gradients(sum(op(x, options)), [x]), { x: elements });
  return Array.from(found?.toArray() ?? [], Number);
}

describe("the gradient of max and min is shared evenly by all that tie", () => {
  gpuTest("over axes that are no neighbours", async (gpu) => {
    // Of each middle index: the four elements of axes 0 and 2.
    const elements = [5, 5, 0, 1, 5, 3, 1, 1];
    expect(await gradientOf(gpu, max, [2, 2, 2], elements, { axes: [0, 2] }))
      .toEqual([1 / 3, 1 / 3, 0, 1 / 3, 1 / 3, 0, 1 / 3, 1 / 3].map(Math.fround));
    expect(await gradientOf(gpu, min, [2, 2, 2], elements, { axes: [2, 0], keepDims: true }))
      .toEqual([0, 0, 1, 0, 0, 1, 0, 0]);
  });

  gpuTest("over three separated axes, and with axes of size 1 between", async (gpu) => {
    const ones = Array<number>(2 * 2 * 2 * 2 * 2).fill(1);
    expect(await gradientOf(gpu, max, [2, 2, 2, 2, 2], ones, { axes: [0, 2, 4] }))
      .toEqual(ones.map(() => 1 / 8));
    expect(await gradientOf(gpu, min, [2, 1, 2, 1, 1, 2], ones.slice(0, 8), { axes: [0, 3, 5] }))
      .toEqual(ones.slice(0, 8).map(() => 1 / 4));
  });

  gpuTest("over everything, one axis, and axes of size 1, whose element gets it all", async (gpu) => {
    const elements = [2, 7, 7, 7, 1, 0];
    expect(await gradientOf(gpu, max, [2, 3], elements)).toEqual(
      [0, 1, 1, 1, 0, 0].map((x) => Math.fround(x / 3)),
    );
    expect(await gradientOf(gpu, max, [2, 3], elements, { axes: -1 })).toEqual([0, 0.5, 0.5, 1, 0, 0]);
    expect(await gradientOf(gpu, max, [2, 1, 3], elements, { axes: 1 })).toEqual([1, 1, 1, 1, 1, 1]);
  });

  gpuTest("by infinities and by NaNs where they are the result; others get 0", async (gpu) => {
    const elements = [I, 1, I, 2, N, 1, 3, N];
    expect(await gradientOf(gpu, max, [2, 4], elements, { axes: 1 })).toEqual([
      0.5,
      0,
      0.5,
      0,
      0.5,
      0,
      0,
      0.5,
    ]);
    expect(await gradientOf(gpu, min, [2, 2, 2], elements, { axes: [0, 2] }))
      .toEqual([0, 0, 0, 0, 1, 0, 0, 1]);
  });

  gpuTest("an element that is not chosen gets 0, also of a gradient that is infinite", async (gpu) => {
    const x = input("x", "f32", [3]);
    const steep = mul(max(x), constant(I));
    const [found] = await runValues(gpu, gradients(steep, [x]), { x: [1, 3, 2] });
    expect(Array.from(found?.toArray() ?? [], Number)).toEqual([0, I, 0]);
  });
});

describe("max and min", () => {
  gpuTest("of every dtype find its lowest and its highest number", async (gpu) => {
    const [low, high] = [-(2 ** 31), 2 ** 31 - 1];
    const cases = [
      { dtype: "i32", elements: [low, 5], least: low, most: 5 },
      { dtype: "i32", elements: [low, low], least: low, most: low },
      { dtype: "i32", elements: [high, -1], least: -1, most: high },
      { dtype: "u32", elements: [2 ** 32 - 1, 7], least: 7, most: 2 ** 32 - 1 },
      { dtype: "u32", elements: [2 ** 32 - 1, 2 ** 32 - 1], least: 2 ** 32 - 1, most: 2 ** 32 - 1 },
      { dtype: "f32", elements: [-I, I], least: -I, most: I },
      { dtype: "f32", elements: [I, I], least: I, most: I },
      { dtype: "f32", elements: [1, N], least: N, most: N },
    ] as const;
    for (const { dtype, elements, least, most } of cases) {
      const x = constant(HostTensor.from([...elements], [2], dtype));
      const found = await runValues(gpu, [min(x), max(x)], {});
      expect(found.map((tensor) => Number(tensor.toArray()[0]))).toEqual([least, most]);
    }
  });

  gpuTest("over separated axes are those of all elements", async (gpu) => {
    const x = constant(HostTensor.from([1, 9, 3, 4, 5, 6, 7, -8], [2, 2, 2]));
    const found = await runValues(gpu, [min(x, { axes: [0, 2] }), max(x, { axes: [0, -1] })], {});
    expect(found.map((tensor) => [...tensor.toArray()].map(Number))).toEqual([[1, -8], [9, 7]]);
  });

  test("of nothing are a TypeError, for every dtype and over separated axes", () => {
    for (const dtype of ["f32", "i32", "u32"] as const) {
      const empty = input("x", dtype, [2, 0, 3]);
      expect(() => min(empty, { axes: [0, 1] })).toThrow("min: shape [2, 0, 3] has no element on an axis");
      expect(() => max(empty)).toThrow(TypeError);
      expect(max(empty, { axes: [0, 2] }).shape).toEqual([0]);
    }
  });
});

describe("argmax", () => {
  gpuTest("over an axis of size 1 is 0 everywhere, as u32", async (gpu) => {
    const x = input("x", "f32", [3, 1]);
    const places = argmax(x, { axis: 1 });
    expect(places.dtype).toBe("u32");
    const [found] = await runValues(gpu, [places], { x: [4, -2, 7] });
    expect(found?.toArray()).toEqual(Uint32Array.of(0, 0, 0));
  });
});
