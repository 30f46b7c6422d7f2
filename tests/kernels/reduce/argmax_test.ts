import { describe, expect, test } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { argmax, type ArgmaxOptions } from "../../../src/kernels/reduce/argmax.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { expectSame, randomNumbers, SIZES } from "../numbers.ts";
import { argmaxTwin } from "../twins/reduce_twin.ts";

describe("argmax", () => {
  async function places(gpu: GpuDevice, input: Float32Array, shape: ArgmaxOptions): Promise<Uint32Array> {
    const out = new Uint32Array(shape.outer * shape.inner);
    return (await runDispatch(gpu, argmax<HostArray>({ input, out }, shape), [out]))[0];
  }

  gpuTest("finds the largest of rows and columns of 1 to 65537 elements", async (gpu) => {
    for (const size of SIZES.slice(1)) {
      const input = randomNumbers(size * 3, 5);
      const shape = { outer: 3, reduced: size, inner: 1 };
      expectSame(await places(gpu, input, shape), argmaxTwin(input, shape));
    }
    const input = randomNumbers(5 * 63 * 7, 6);
    const shape = { outer: 5, reduced: 63, inner: 7 };
    expectSame(await places(gpu, input, shape), argmaxTwin(input, shape));
  });

  gpuTest("takes the first of equals, and a NaN before all", async (gpu) => {
    const [N, I] = [NaN, Infinity];
    const input = Float32Array.of(1, 3, 3, 2, 1, N, I, N, -I, -I, -I, -I, N, 1, 2, 3, 0, -0, 0, 0);
    const shape = { outer: 5, reduced: 4, inner: 1 };
    expectSame(await places(gpu, input, shape), [1, 1, 0, 0, 0]);
    expectSame(argmaxTwin(input, shape), [1, 1, 0, 0, 0]);
  });

  test("has nothing to dispatch for no rows, and refuses to choose from nothing", () => {
    const bindings = { input: "input", out: "out" };
    expect(argmax(bindings, { outer: 0, reduced: 0, inner: 1 }).workgroups).toEqual([0, 0, 0]);
    expect(() => argmax(bindings, { outer: 1, reduced: 0, inner: 1 })).toThrow(
      "no elements have no largest one",
    );
  });
});
