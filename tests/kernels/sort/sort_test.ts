import { describe, expect, test } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { sortedPlaces, type SortOptions } from "../../../src/kernels/sort/sort.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import type { HostArray } from "../../helpers/run_dispatch.ts";
import { HOST_MEMORY, NAMED_MEMORY, runSteps } from "../../helpers/run_steps.ts";
import { randomNumbers, smallIntegers } from "../numbers.ts";

type Numbers = Float32Array | Int32Array | Uint32Array;

async function sorted(gpu: GpuDevice, input: Numbers, options: SortOptions): Promise<number[]> {
  const out = new Uint32Array(input.length);
  await runSteps(gpu, sortedPlaces<HostArray>({ input, out }, options, HOST_MEMORY));
  return [...out];
}

/** By the host's stable sort; NaN is largest. */
function twin(input: Numbers, { outer, reduced, inner, isDescending }: SortOptions): number[] {
  const places: number[] = [];
  for (let row = 0; row < outer * inner; row++) {
    const address = (term: number) => (Math.floor(row / inner) * reduced + term) * inner + row % inner;
    const at = (term: number) => input[address(term)] ?? 0;
    const compare = (x: number, y: number) =>
      Number(Number.isNaN(x)) - Number(Number.isNaN(y)) || (x < y ? -1 : x > y ? 1 : 0);
    const order = Array.from({ length: reduced }, (_, term) => term)
      .sort((a, b) => (isDescending ? -1 : 1) * compare(at(a), at(b)) || a - b);
    order.forEach((place, position) => places[address(position)] = place);
  }
  return places;
}

describe("sort", () => {
  gpuTest(
    "OP-06 sorts rows, columns and the middle of 1 to 4099 elements, stably, in both directions",
    async (gpu) => {
      const shapes = [[3, 1, 1], [5, 31, 1], [2, 32, 3], [4, 33, 1], [1, 64, 5], [2, 257, 1], [1, 4099, 1]];
      for (const [outer = 1, reduced = 1, inner = 1] of shapes) {
        // Few different numbers, so that there are many ties.
        const input = smallIntegers(outer * reduced * inner, reduced);
        for (const isDescending of [false, true]) {
          const options = { outer, reduced, inner, dtype: "f32", isDescending } as const;
          expect(await sorted(gpu, input, options)).toEqual(twin(input, options));
        }
      }
    },
  );

  gpuTest("OP-06 sorts infinities, zeros of both signs as equals, and NaN as largest", async (gpu) => {
    const input = Float32Array.of(NaN, 1, -Infinity, 0, -0, Infinity, NaN, -1, 1e-38, -1e-38);
    for (const isDescending of [false, true]) {
      const options = { outer: 1, reduced: 10, inner: 1, dtype: "f32", isDescending } as const;
      expect(await sorted(gpu, input, options)).toEqual(twin(input, options));
    }
  });

  gpuTest("OP-06 sorts integers of both kinds over their whole range", async (gpu) => {
    const words = randomNumbers(100, 3).map((x) => x * 2 ** 31);
    const options = { outer: 1, reduced: 100, inner: 1, isDescending: false } as const;
    const signed = Int32Array.from(words).with(7, -(2 ** 31));
    expect(await sorted(gpu, signed, { ...options, dtype: "i32" })).toEqual(
      twin(signed, { ...options, dtype: "i32" }),
    );
    const unsigned = Uint32Array.from(words, (x) => x + 2 ** 31).with(9, 2 ** 32 - 1);
    expect(await sorted(gpu, unsigned, { ...options, dtype: "u32" })).toEqual(
      twin(unsigned, { ...options, dtype: "u32" }),
    );
  });

  test("OP-06 takes as many dispatches as the logarithm of the length, and none of nothing", () => {
    const steps = (reduced: number) =>
      sortedPlaces<string>(
        { input: "x", out: "y" },
        { outer: 1, reduced, inner: 1, dtype: "f32", isDescending: false },
        NAMED_MEMORY,
      );
    expect(steps(32)).toHaveLength(2);
    expect(steps(1024)).toHaveLength(7);
    expect(steps(1_000_000)).toHaveLength(17);
    expect(steps(0).every(({ dispatch }) => dispatch.workgroups.includes(0))).toBe(true);
  });
});
