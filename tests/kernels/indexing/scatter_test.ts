import { describe, expect, test } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { scatter, type ScatterOptions } from "../../../src/kernels/indexing/scatter.ts";
import { take } from "../../../src/kernels/indexing/take.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { HOST_MEMORY, NAMED_MEMORY, runSteps } from "../../helpers/run_steps.ts";
import { randomNumbers, smallIntegers } from "../numbers.ts";

type Sizes = Omit<ScatterOptions, "dtype" | "manner">;

function indicesOf({ outer, inner, size, count, isShared }: Sizes, seed: number): Uint32Array {
  const numbers = randomNumbers(isShared ? count : outer * count * inner, seed);
  return Uint32Array.from(numbers, (x) => Math.floor((x + 1) / 2 * (size + 1)));
}

/** What each update goes to, in the order of the updates. */
function forEachUpdate(
  { outer, inner, size, count, isShared }: Sizes,
  indices: Uint32Array,
  visit: (target: number, update: number) => void,
): void {
  for (let update = 0; update < outer * count * inner; update++) {
    const row = Math.floor(update / inner);
    const place = indices[isShared ? row % count : update] ?? 0;
    if (place < size) visit((Math.floor(row / count) * size + place) * inner + update % inner, update);
  }
}

async function scattered(
  gpu: GpuDevice,
  options: ScatterOptions,
  indices: Uint32Array,
  updates: Float32Array | Uint32Array,
): Promise<Float32Array | Uint32Array> {
  const { outer, size, inner } = options;
  const out = new (updates.constructor as Float32ArrayConstructor)(outer * size * inner).fill(7);
  await runSteps(gpu, scatter<HostArray>({ indices, updates, out }, options, HOST_MEMORY));
  return out;
}

const SHAPES: Sizes[] = [
  { outer: 1, size: 50, inner: 3, count: 70, isShared: true },
  { outer: 2, size: 5, inner: 4, count: 33, isShared: true },
  { outer: 2, size: 7, inner: 3, count: 20, isShared: false },
  { outer: 3, size: 4, inner: 1, count: 40, isShared: false },
  // More updates of a place than a chunk has.
  { outer: 1, size: 3, inner: 2, count: 2051, isShared: true },
  { outer: 1, size: 1, inner: 1, count: 1025, isShared: false },
  { outer: 1, size: 1, inner: 2, count: 513, isShared: true },
];

describe("scatter", () => {
  gpuTest("OP-05 adds up what goes to each place, and leaves all others as they are", async (gpu) => {
    for (const sizes of SHAPES) {
      const indices = indicesOf(sizes, sizes.count);
      const updates = smallIntegers(sizes.outer * sizes.count * sizes.inner, 2);
      const expected = new Map<number, number>();
      forEachUpdate(sizes, indices, (target, update) => {
        expected.set(target, (expected.get(target) ?? 0) + (updates[update] ?? NaN));
      });
      const found = await scattered(gpu, { ...sizes, dtype: "f32", manner: "sum" }, indices, updates);
      expect(Array.from(found)).toEqual(Array.from(found, (_, target) => expected.get(target) ?? 7));
    }
  });

  gpuTest("OP-05 keeps the last of several updates that replace an element", async (gpu) => {
    for (const sizes of SHAPES) {
      const indices = indicesOf(sizes, sizes.count);
      const updates = randomNumbers(sizes.outer * sizes.count * sizes.inner, 3);
      const expected = new Map<number, number>();
      forEachUpdate(sizes, indices, (target, update) => void expected.set(target, updates[update] ?? NaN));
      const found = await scattered(gpu, { ...sizes, dtype: "f32", manner: "last" }, indices, updates);
      expect(Array.from(found)).toEqual(Array.from(found, (_, target) => expected.get(target) ?? 7));
    }
  });

  gpuTest("OP-05 sums of many updates lose nothing to rounding, and integers wrap", async (gpu) => {
    const count = 20_000;
    const sizes = { outer: 1, size: 2, inner: 1, count, isShared: true };
    const updates = randomNumbers(count, 4).map((x) => x + 1);
    const indices = new Uint32Array(count).fill(1);
    const [, total = 0] = await scattered(gpu, { ...sizes, dtype: "f32", manner: "sum" }, indices, updates);
    const exact = updates.reduce((sum, x) => sum + x, 0);
    expect(Math.abs(total - exact)).toBeLessThan(4.8e-7 * exact);
    const words = new Uint32Array(count).fill(2 ** 31 + 1);
    const [, wrapped] = await scattered(gpu, { ...sizes, dtype: "u32", manner: "sum" }, indices, words);
    expect(wrapped).toBe(count);
  });

  test("OP-05 has a cost that depends on the number of indices, not on the size of the result", () => {
    const work = (size: number) =>
      scatter<string>(
        { indices: "i", updates: "u", out: "o" },
        { outer: 1, size, inner: 64, count: 1000, isShared: true, dtype: "f32", manner: "sum" },
        NAMED_MEMORY,
      ).reduce((total, { dispatch: { workgroups: [x, y, z] } }) => total + x * y * z, 0);
    expect(work(50_000_000 / 64)).toBe(work(10));
  });
});

describe("take", () => {
  gpuTest("OP-05 takes rows and elements of columns, four at a time and one by one", async (gpu) => {
    for (const sizes of SHAPES) {
      const { outer, size, inner, count, isShared } = sizes;
      const input = randomNumbers(outer * size * inner, 6);
      const indices = indicesOf(sizes, 7);
      const out = new Float32Array(outer * count * inner);
      const dispatch = take<HostArray>({ input, indices, out }, { ...sizes, dtype: "f32" });
      const [found] = await runDispatch(gpu, dispatch, [out]);
      const expected = new Float32Array(out.length).fill(NaN);
      forEachUpdate(
        { outer, size, inner, count, isShared },
        indices,
        (target, place) => expected[place] = input[target] ?? NaN,
      );
      expect(Array.from(found)).toEqual(Array.from(expected));
    }
  });
});
