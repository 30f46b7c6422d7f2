import { describe, expect } from "bun:test";
import { cumsum, type CumsumOptions } from "../../../src/kernels/reduce/cumsum.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import type { HostArray } from "../../helpers/run_dispatch.ts";
import { runSteps, scratchWords } from "../../helpers/run_steps.ts";
import { randomNumbers, smallIntegers } from "../numbers.ts";

type Numbers = Float32Array | Uint32Array;

async function sums<T extends Numbers>(gpu: GpuDevice, input: T, options: CumsumOptions): Promise<T> {
  const out = input.slice().fill(7) as T;
  const steps = cumsum<HostArray>({ input, out }, options, scratchWords);
  await runSteps(gpu, steps.map(({ dispatch, out }) => ({ dispatch, writes: [out] })));
  return out;
}

function twin(input: Numbers, { outer, reduced, inner, isReverse }: CumsumOptions): number[] {
  const results: number[] = [];
  for (let row = 0; row < outer * inner; row++) {
    let total = 0;
    for (let term = 0; term < reduced; term++) {
      const place = isReverse ? reduced - 1 - term : term;
      const address = (Math.floor(row / inner) * reduced + place) * inner + row % inner;
      total += input[address] ?? NaN;
      results[address] = total;
    }
  }
  return results;
}

describe("cumsum", () => {
  gpuTest(
    "OP-06 cumsum adds up rows, columns and the middle of 0 to 5000 elements, from both ends",
    async (gpu) => {
      for (
        const [outer = 1, reduced = 0, inner = 1] of [[2, 0, 3], [3, 1, 1], [5, 63, 1], [2, 65, 3], [
          1,
          1025,
          2,
        ], [2, 5000, 1]]
      ) {
        for (const isReverse of [false, true]) {
          const options = { outer, reduced, inner, dtype: "f32", isReverse } as const;
          const input = smallIntegers(outer * reduced * inner, reduced);
          expect(Array.from(await sums(gpu, input, options))).toEqual(twin(input, options));
        }
      }
    },
  );

  gpuTest(
    "OP-06 cumsum is off by at most 2.4e-7 of the magnitudes up to each element of a long row",
    async (gpu) => {
      const options = { outer: 1, reduced: 65_537, inner: 1, dtype: "f32", isReverse: false } as const;
      const input = randomNumbers(65_537, 2);
      const found = await sums(gpu, input, options);
      const expected = twin(input, options);
      let magnitude = 0;
      const worst = expected.reduce((most, total, index) => {
        magnitude += Math.abs(input[index] ?? NaN);
        return Math.max(most, Math.abs((found[index] ?? NaN) - total) / magnitude);
      }, 0);
      expect(worst).toBeLessThan(2.4e-7);
    },
  );

  gpuTest("OP-06 cumsum passes infinity and NaN on to later sums, and wraps integers", async (gpu) => {
    const options = { outer: 1, reduced: 6, inner: 1, dtype: "f32", isReverse: false } as const;
    expect(Array.from(await sums(gpu, Float32Array.of(1, Infinity, 2, -Infinity, 3, 4), options))).toEqual([
      ...[1, Infinity, Infinity, NaN, NaN, NaN],
    ]);
    const long = new Uint32Array(3000).fill(2 ** 31);
    const wrapped = await sums(gpu, long, { ...options, reduced: 3000, dtype: "u32" });
    expect(Array.from(wrapped.subarray(2997))).toEqual([0, 2 ** 31, 0]);
  });
});
