import { describe, expect, test } from "bun:test";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { reduce, type ReduceOptions, type ReduceVariant } from "../../src/kernels/reduce.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../helpers/run_dispatch.ts";
import { expectClose, expectSame, randomNumbers, SIZES, smallIntegers } from "./numbers.ts";
import { reduceTwin } from "./twins/reduce_twin.ts";

const VARIANTS: readonly ReduceVariant[] = ["sequential", "tree"];

/** A binding is never empty: a tensor without elements is bound as one word. */
async function reduced(gpu: GpuDevice, input: Numbers, options: ReduceOptions): Promise<Numbers> {
  const bound = input.length > 0 ? input : new Float32Array(1);
  const count = options.outer * options.inner;
  const out = { f32: new Float32Array(count), i32: new Int32Array(count), u32: new Uint32Array(count) };
  const result: Numbers = out[options.dtype ?? "f32"].fill(7);
  const [values] = await runDispatch(gpu, reduce<HostArray>({ input: bound, out: result }, options), [
    result,
  ]);
  return values;
}

type Numbers = Float32Array | Int32Array | Uint32Array;

for (const variant of VARIANTS) {
  describe(`reduce, ${variant} variant`, () => {
    gpuTest("adds up 0 to 65537 elements", async (gpu) => {
      for (const size of SIZES) {
        const shape = { outer: 1, reduced: size, inner: 1 };
        const input = smallIntegers(size, 1);
        expectSame(
          await reduced(gpu, input, { op: "sum", ...shape, variant }),
          reduceTwin(input, "sum", shape),
        );
      }
    });

    gpuTest("reduces rows, columns and the middle", async (gpu) => {
      const shapes = [{ outer: 65, reduced: 63, inner: 1 }, { outer: 1, reduced: 64, inner: 257 }, {
        outer: 5,
        reduced: 3,
        inner: 7,
      }];
      for (const shape of shapes) {
        const input = smallIntegers(shape.outer * shape.reduced * shape.inner, 2);
        for (const op of ["sum", "max"] as const) {
          expectSame(await reduced(gpu, input, { op, ...shape, variant }), reduceTwin(input, op, shape));
        }
      }
    });

    gpuTest("takes means, and the mean of nothing is NaN", async (gpu) => {
      const shape = { outer: 3, reduced: 257, inner: 1 };
      const input = randomNumbers(3 * 257, 3);
      const means = await reduced(gpu, input, { op: "mean", ...shape, variant });
      expectClose(means, reduceTwin(input, "mean", shape), { absolute: 1e-6 });
      const nothing = { outer: 2, reduced: 0, inner: 1 };
      expectSame(await reduced(gpu, new Float32Array(0), { op: "mean", ...nothing, variant }), [NaN, NaN]);
    });

    gpuTest("lets NaN and infinity through", async (gpu) => {
      const shape = { outer: 5, reduced: 4, inner: 1 };
      const [N, I] = [NaN, Infinity];
      const input = Float32Array.of(1, N, 2, 3, N, 1, 1, 1, -I, -I, -I, -I, I, 1, -I, 2, 1, 2, 3, N);
      for (const op of ["sum", "max", "mean"] as const) {
        expectSame(await reduced(gpu, input, { op, ...shape, variant }), reduceTwin(input, op, shape));
      }
    });

    gpuTest("adds and compares integers exactly", async (gpu) => {
      const shape = { outer: 2, reduced: 3, inner: 1 };
      const signed = Int32Array.of(-5, -2_000_000_000, -7, 2 ** 31 - 1, 1, 0);
      expectSame(await reduced(gpu, signed, { op: "max", dtype: "i32", ...shape, variant }), [
        -5,
        2 ** 31 - 1,
      ]);
      expectSame(await reduced(gpu, signed, { op: "sum", dtype: "i32", ...shape, variant }), [
        -2_000_000_012,
        -(2 ** 31),
      ]);
      const unsigned = Uint32Array.of(1, 4_000_000_000, 2, 0, 0, 0);
      expectSame(await reduced(gpu, unsigned, { op: "max", dtype: "u32", ...shape, variant }), [
        4_000_000_000,
        0,
      ]);
    });
  });
}

describe("reduce", () => {
  gpuTest("loses little in long sums", async (gpu) => {
    const shape = { outer: 1, reduced: 65_537, inner: 1 };
    const input = randomNumbers(65_537, 4).map((x) => x + 2);
    const expected = reduceTwin(input, "sum", shape);
    for (const variant of VARIANTS) {
      expectClose(await reduced(gpu, input, { op: "sum", ...shape, variant }), expected, { relative: 3e-6 });
    }
  });

  test("has nothing to dispatch for an empty result", () => {
    const bindings = { input: "input", out: "out" };
    for (const variant of VARIANTS) {
      expect(reduce(bindings, { op: "max", outer: 0, reduced: 0, inner: 3, variant }).workgroups).toEqual([
        0,
        0,
        0,
      ]);
    }
  });

  test("refuses the maximum of nothing and the mean of integers", () => {
    const bindings = { input: "input", out: "out" };
    expect(() => reduce(bindings, { op: "max", outer: 1, reduced: 0, inner: 1 })).toThrow(
      "nothing has no maximum",
    );
    expect(() => reduce(bindings, { op: "mean", outer: 1, reduced: 2, inner: 1, dtype: "i32" })).toThrow(
      "mean of i32",
    );
    expect(() => reduce(bindings, { op: "sum", outer: -1, reduced: 2, inner: 1 })).toThrow("outer has to be");
  });

  test("chooses its variant by the sizes alone", () => {
    const bindings = { input: "input", out: "out" };
    expect(reduce(bindings, { op: "sum", outer: 1, reduced: 4096, inner: 1 }).label).toContain("tree");
    expect(reduce(bindings, { op: "sum", outer: 1, reduced: 64, inner: 256 }).label).toContain("sequential");
  });
});
