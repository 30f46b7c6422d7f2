import { describe, expect, test } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import type { Expression } from "../../../src/kernels/elementwise/expression.ts";
import { matmul, type MatmulVariant, type TiledVariant } from "../../../src/kernels/matmul/matmul.ts";
import { matmulSteps } from "../../../src/kernels/matmul/matmul_steps.ts";
import { packedMatmul } from "../../../src/kernels/matmul/packed_matmul.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import type { HostArray } from "../../helpers/run_dispatch.ts";
import { HOST_MEMORY, runSteps } from "../../helpers/run_steps.ts";
import { expectClose, expectSame, randomNumbers, smallIntegers } from "../numbers.ts";
import { type MatmulShape, matmulTwin } from "../twins/matmul_twin.ts";

const TILED: readonly TiledVariant[] = ["register", "workgroup"];
const VARIANTS: readonly MatmulVariant[] = [...TILED, "packed", "thinPacked", "thinWorkgroup"];
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
  // Asked by itself, so that small sizes are packed too.
  const steps = variant === "packed" && shape.k > 0
    ? packedMatmul<HostArray>({ a, b, out }, shape, HOST_MEMORY)
    : matmulSteps<HostArray>({ a, b, out }, shape, variant, HOST_MEMORY);
  await runSteps(gpu, steps);
  return out;
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

  gpuTest("multiplies packed operands of several blocks, with sums of several pieces", async (gpu) => {
    for (const layout of LAYOUTS) await expectExact(gpu, { m: 150, n: 135, k: 130, ...layout }, "packed");
    await expectExact(gpu, { m: 260, n: 300, k: 1037 }, "packed");
    await expectExact(gpu, { m: 20, n: 140, k: 1100, transposeB: true }, "packed");
  }, TIMEOUT_MS);

  gpuTest("multiplies few rows in one dispatch, the last columns too", async (gpu) => {
    for (const variant of ["thinPacked", "thinWorkgroup"] as const) {
      for (const [m, n, k] of [[1, 1, 4], [1, 65, 36], [2, 8, 32], [3, 63, 260], [4, 257, 64]] as const) {
        await expectExact(gpu, { m, n, k, transposeB: true }, variant);
        const bindings = { a: new Float32Array(1), b: new Float32Array(1), out: new Float32Array(1) };
        const [step, ...others] = matmulSteps<HostArray>(
          bindings,
          { m, n, k, transposeB: true },
          variant,
          HOST_MEMORY,
        );
        expect([step?.dispatch.label.endsWith("thin"), others.length]).toEqual([true, 0]);
      }
      // Numbers that are not whole: sums are in another order than the twin's.
      const shape = { m: 3, n: 70, k: 784, transposeB: true };
      const [a, b] = [randomNumbers(3 * 784, 5), randomNumbers(784 * 70, 6)];
      expectClose(await product(gpu, a, b, shape, variant), matmulTwin(a, b, shape), { absolute: 1e-4 });
    }
  }, TIMEOUT_MS);

  test("packs where that is faster, which the sizes decide", () => {
    const labels = (m: number, n: number, k: number): string[] =>
      matmulSteps<HostArray>(
        { a: new Float32Array(1), b: new Float32Array(1), out: new Float32Array(1) },
        { m, n, k },
        "packed",
        HOST_MEMORY,
      ).map(({ dispatch }) => dispatch.label);
    expect(labels(64, 256, 784)).toEqual([
      "pack 64 lines of 784",
      "pack 256 lines of 784",
      ...Array<string>(4).fill("matmul 64x784 784x256 packed"),
    ]);
    expect(labels(64, 10, 128)).toEqual(["matmul 64x128 128x10 register"]);
    expect(labels(1, 1024, 1024)).toEqual(["matmul 1x1024 1024x1024 register"]);
    expect(labels(512, 512, 0)).toEqual(["fill 262144"]);
  });

  test("refuses other work for variants that have no place for it", () => {
    const bindings = { a: "a", b: "b", out: "out" };
    const epilogue = {
      inputs: [],
      product: 0,
      shape: [2, 2],
      expression: { kind: "input", index: 0 },
    } as const;
    const sizes = { m: 2, n: 2, k: 2 };
    expect(() => matmul(bindings, { ...sizes, variant: "register", joins: { rowSums: "sums" } })).toThrow(
      "the variant register over 2 terms computes nothing besides its product",
    );
    const both = { rowSums: "sums", epilogue };
    expect(() => matmul(bindings, { ...sizes, variant: "workgroup", joins: both })).toThrow("not both");
    const read = Array.from({ length: 7 }, () => ({ binding: "x", dtype: "f32", strides: [2, 1] } as const));
    const expression = read.reduce<Expression>((total, _, index) => ({
      kind: "apply",
      function: { name: "add", takes: ["f32"], wgsl: ([x, y]) => `${x?.text} + ${y?.text}` },
      operands: [total, { kind: "input", index }],
    }), { kind: "input", index: 0 });
    const wide = { epilogue: { ...epilogue, inputs: read, expression } };
    expect(() => matmul(bindings, { ...sizes, variant: "workgroup", joins: wide })).toThrow(
      "reads 5 tensors at most, not 6",
    );
  });

  test("has nothing to dispatch for an empty result", () => {
    const bindings = { a: "a", b: "b", out: "out" };
    for (const variant of TILED) {
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
