import { describe } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { copy, type CopyOptions } from "../../../src/kernels/elementwise/copy.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { expectSame, SIZES } from "../numbers.ts";

describe("copy", () => {
  async function copied(gpu: GpuDevice, input: Uint32Array, options: CopyOptions): Promise<Uint32Array> {
    const out = new Uint32Array(options.shape.reduce((product, size) => product * size, 1));
    return (await runDispatch(gpu, copy<HostArray>({ input, out }, options), [out]))[0];
  }

  /** Words that are signalling NaNs, denormals and everything between. */
  function words(count: number): Uint32Array {
    return Uint32Array.from({ length: count }, (_, index) => (index * 0x9e37_79b9 ^ 0x7f80_0001) >>> 0);
  }

  gpuTest("copies 0 to 65537 elements, bit for bit", async (gpu) => {
    for (const count of SIZES) expectSame(await copied(gpu, words(count), { shape: [count] }), words(count));
  });

  gpuTest("transposes, at sizes that are multiples of 4 and not", async (gpu) => {
    for (const [rows, columns] of [[64, 68], [63, 65], [5, 64], [64, 5]] as const) {
      const input = words(rows * columns);
      const expected = Uint32Array.from({ length: rows * columns }, (_, index) => {
        const [column, row] = [Math.floor(index / rows), index % rows];
        return input[row * columns + column] ?? 0;
      });
      expectSame(await copied(gpu, input, { shape: [columns, rows], strides: [1, columns] }), expected);
    }
  });

  gpuTest("repeats rows, columns and single elements", async (gpu) => {
    const input = words(4);
    const [a = 0, b = 0, c = 0, d = 0] = input;
    expectSame(await copied(gpu, input, { shape: [2, 4], strides: [0, 1] }), [a, b, c, d, a, b, c, d]);
    expectSame(await copied(gpu, input, { shape: [4, 3], strides: [1, 0] }), [
      a,
      a,
      a,
      b,
      b,
      b,
      c,
      c,
      c,
      d,
      d,
      d,
    ]);
    expectSame(await copied(gpu, input, { shape: [5], strides: [0] }), [a, a, a, a, a]);
  });
});
