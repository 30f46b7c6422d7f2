import { describe, expect, test } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { matmul, type MatmulVariant } from "../../../src/kernels/matmul/matmul.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { runDispatch } from "../../helpers/run_dispatch.ts";
import { expectClose, expectSame, randomNumbers, smallIntegers } from "../numbers.ts";
import { type MatmulShape, matmulTwin } from "../twins/matmul_twin.ts";

const VARIANTS: readonly MatmulVariant[] = ["register", "workgroup"];
/** On a CPU adapter a kernel takes up to a second to compile, and the machine may be busy. */
const TIMEOUT_MS = 120_000;
const LAYOUTS = [
  { transposeA: false, transposeB: false },
  { transposeA: false, transposeB: true },
  { transposeA: true, transposeB: false },
  { transposeA: true, transposeB: true },
];

async function product(
  gpu: GpuDevice,
  a: Float32Array,
  b: Float32Array,
  shape: MatmulShape,
  variant: MatmulVariant,
): Promise<Float32Array> {
  const out = new Float32Array(shape.m * shape.n).fill(7);
  const [result] = await runDispatch(gpu, matmul({ a, b, out }, { ...shape, variant }), [out]);
  return result;
}

/** Whole numbers, so that every sum is exact and has to be the twin's. */
async function expectExact(gpu: GpuDevice, shape: MatmulShape, variant: MatmulVariant): Promise<void> {
  const a = smallIntegers(shape.m * shape.k, 1);
  const b = smallIntegers(shape.k * shape.n, 2);
  expectSame(await product(gpu, a, b, shape, variant), matmulTwin(a, b, shape));
}

for (const variant of VARIANTS) {
  describe(`matmul, ${variant} variant`, () => {
    gpuTest("multiplies in every layout, at sizes around its tiles", async (gpu) => {
      for (const layout of LAYOUTS) await expectExact(gpu, { m: 65, n: 63, k: 19, ...layout }, variant);
      await expectExact(gpu, { m: 12, n: 68, k: 33 }, variant);
      await expectExact(gpu, { m: 12, n: 68, k: 33, transposeA: true }, variant);
      await expectExact(gpu, { m: 64, n: 10, k: 257, transposeA: true, transposeB: true }, variant);
    }, TIMEOUT_MS);

    gpuTest("multiplies single elements, rows and columns", async (gpu) => {
      await expectExact(gpu, { m: 1, n: 1, k: 1 }, variant);
      await expectExact(gpu, { m: 65_537, n: 3, k: 2 }, variant);
      await expectExact(gpu, { m: 1, n: 65_537, k: 3 }, variant);
      await expectExact(gpu, { m: 1, n: 2, k: 65_537 }, variant);
    }, TIMEOUT_MS);

    gpuTest("gives zeros when there is nothing to add up", async (gpu) => {
      const nothing = new Float32Array(1);
      expectSame(await product(gpu, nothing, nothing, { m: 5, n: 3, k: 0 }, variant), new Float32Array(15));
    }, TIMEOUT_MS);

    gpuTest("keeps NaN and infinity to their rows and columns", async (gpu) => {
      const shape = { m: 9, n: 10, k: 6 };
      const a = smallIntegers(shape.m * shape.k, 3);
      const b = smallIntegers(shape.k * shape.n, 4);
      a[8 * shape.k] = NaN; // last row
      b[shape.n - 1] = Infinity; // last column
      a[2 * shape.k] = 0; // 0 * infinity
      expectSame(await product(gpu, a, b, shape, variant), matmulTwin(a, b, shape));
    }, TIMEOUT_MS);

    gpuTest("is as close to float64 as sums in f32 are", async (gpu) => {
      const shape = { m: 64, n: 256, k: 784, transposeB: true };
      const [a, b] = [randomNumbers(64 * 784, 5), randomNumbers(784 * 256, 6)];
      expectClose(await product(gpu, a, b, shape, variant), matmulTwin(a, b, shape), { absolute: 2e-4 });
    }, TIMEOUT_MS);
  });
}

describe("matmul", () => {
  gpuTest("multiplies with the larger tiles that large results get", async (gpu) => {
    await expectExact(gpu, { m: 64 * 127 + 1, n: 7, k: 18 }, "workgroup");
    await expectExact(gpu, { m: 7, n: 128 * 127 + 4, k: 17 }, "workgroup");
  }, TIMEOUT_MS);

  gpuTest("multiplies along depth, where columns share the cache or the result is narrow", async (gpu) => {
    await expectExact(gpu, { m: 65, n: 63, k: 512, transposeB: true }, "register");
    await expectExact(gpu, { m: 9, n: 68, k: 512, transposeB: true }, "register");
    await expectExact(gpu, { m: 64, n: 10, k: 12, transposeB: true }, "register");
    expect(
      matmul({ a: 0, b: 0, out: 0 }, { m: 64, n: 10, k: 12, transposeB: true, variant: "register" }).code,
    ).toContain("dot(");
  }, TIMEOUT_MS);

  test("has nothing to dispatch for an empty result", () => {
    const bindings = { a: "a", b: "b", out: "out" };
    for (const variant of VARIANTS) {
      expect(matmul(bindings, { m: 0, n: 5, k: 3, variant }).workgroups).toEqual([0, 0, 0]);
      expect(matmul(bindings, { m: 5, n: 0, k: 3, variant }).workgroups).toEqual([0, 0, 0]);
    }
  });

  test("refuses sizes that are not whole numbers or beyond 32 bits", () => {
    const bindings = { a: "a", b: "b", out: "out" };
    expect(() => matmul(bindings, { m: 1.5, n: 1, k: 1, variant: "register" })).toThrow(
      "matmul: m has to be a whole number",
    );
    expect(() => matmul(bindings, { m: 70_000, n: 1, k: 70_000, variant: "register" })).toThrow(
      "70000 x 70000",
    );
  });
});
