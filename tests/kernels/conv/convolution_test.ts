import { describe, expect, test } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { gradients } from "../../../src/graph/autodiff.ts";
import { mul } from "../../../src/graph/ops/arithmetic.ts";
import { conv2d } from "../../../src/graph/ops/spatial/convolution.ts";
import type { Conv2dOptions } from "../../../src/graph/ops/spatial/convolution_options.ts";
import { input } from "../../../src/graph/ops/sources.ts";
import { sum } from "../../../src/graph/ops/sum.ts";
import { convolution, type ConvolutionVariant } from "../../../src/kernels/conv/convolution.ts";
import type { ConvolutionProduct, ConvolutionSizes } from "../../../src/kernels/conv/convolution_sizes.ts";
import type { Shape } from "../../../src/tensor/shape.ts";
import { runValues } from "../../graph/run_values.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { interpret } from "../../helpers/interpreter.ts";
import { NAMED_MEMORY } from "../../helpers/run_steps.ts";
import { expectClose, expectSame, smallIntegers } from "../numbers.ts";

const VARIANTS: readonly ConvolutionVariant[] = ["direct", "element"];
/** On a CPU adapter a kernel takes up to a second to compile, and the machine may be busy. */
const TIMEOUT_MS = 120_000;

interface Case {
  readonly input: Shape;
  readonly weight: Shape;
  readonly options?: Conv2dOptions;
}

function count(shape: Shape): number {
  return shape.reduce((all, size) => all * size, 1);
}

/** Output and both gradients, from whole numbers, so that every sum is exact and has to be the interpreter's. */
async function expectExact(
  gpu: GpuDevice,
  { input: inputShape, weight: weightShape, options }: Case,
  variant: string,
) {
  const [a, b] = [input("a", "f32", inputShape), input("b", "f32", weightShape)];
  const output = conv2d(a, b, options);
  const g = input("g", "f32", output.shape);
  const values = [output, ...gradients(sum(mul(output, g)), [a, b])];
  const elements = Object.fromEntries(
    [a, b, g].map(({ attributes, shape }, index) => [
      (attributes as { name: string }).name,
      [...smallIntegers(count(shape), index + 1)],
    ]),
  );
  const found = await runValues(gpu, values, elements, new Map([["convolution", variant]]));
  const expected = interpret(values, { inputs: elements });
  values.forEach((_, index) => expectSame(numbersOf(found[index]?.toArray() ?? []), expected[index] ?? []));
}

function numbersOf(elements: ArrayLike<number | bigint>): number[] {
  return Array.from(elements, Number);
}

for (const variant of VARIANTS) {
  describe(`OP-03 convolution, ${variant} variant`, () => {
    gpuTest("OP-03 computes output and gradients at sizes around its tiles", async (gpu) => {
      await expectExact(
        gpu,
        { input: [2, 3, 9, 11], weight: [5, 3, 3, 3], options: { padding: 1 } },
        variant,
      );
      await expectExact(gpu, { input: [1, 4, 8, 8], weight: [33, 4, 3, 3] }, variant);
    }, TIMEOUT_MS);

    gpuTest("OP-03 moves in strides, and reaches over gaps", async (gpu) => {
      await expectExact(gpu, {
        input: [2, 2, 10, 9],
        weight: [3, 2, 3, 2],
        options: { stride: [2, 3], dilation: [1, 2], padding: [[2, 0], [1, 3]] },
      }, variant);
    }, TIMEOUT_MS);

    gpuTest("OP-03 computes single elements, single rows and whole images", async (gpu) => {
      await expectExact(gpu, { input: [1, 1, 1, 1], weight: [1, 1, 1, 1] }, variant);
      await expectExact(
        gpu,
        { input: [2, 2, 1, 65], weight: [3, 2, 1, 5], options: { padding: [0, 2] } },
        variant,
      );
      await expectExact(gpu, { input: [3, 2, 6, 5], weight: [4, 2, 6, 5] }, variant);
    }, TIMEOUT_MS);

    gpuTest("OP-03 gives zeros where there is nothing to add up", async (gpu) => {
      await expectExact(gpu, { input: [0, 2, 4, 4], weight: [3, 2, 2, 2] }, variant);
      await expectExact(gpu, { input: [2, 0, 4, 4], weight: [3, 0, 2, 2] }, variant);
    }, TIMEOUT_MS);
  });
}

describe("convolution", () => {
  gpuTest("OP-03 takes weights in pieces: several blocks of channels each, or a part of one", async (gpu) => {
    for (const [channels, outChannels, pieces] of [[20, 100, 2], [200, 19, 4]] as const) {
      const sizes = sizesOf({ batch: 1, inChannels: channels, outChannels, input: [4, 5], output: [4, 5] });
      const labels = labelsOf("output", { ...sizes, padding: [1, 1] });
      expect(labels.filter((label) => label.endsWith("direct"))).toHaveLength(pieces);
      await expectExact(
        gpu,
        { input: [1, channels, 4, 5], weight: [outChannels, channels, 3, 3], options: { padding: 1 } },
        "direct",
      );
    }
  }, TIMEOUT_MS);

  gpuTest("OP-03 goes row by row through kernels that are too large to unroll", async (gpu) => {
    await expectExact(gpu, { input: [1, 2, 9, 12], weight: [3, 2, 5, 7], options: { padding: 2 } }, "direct");
  }, TIMEOUT_MS);

  gpuTest("OP-03 adds parts of the weights' gradient, each of whole rows", async (gpu) => {
    await expectExact(gpu, { input: [3, 1, 64, 66], weight: [2, 1, 2, 3] }, "direct");
  }, TIMEOUT_MS);

  gpuTest("OP-03 keeps NaN and infinity to the elements that see them, in the gradients too", async (gpu) => {
    const [a, b] = [input("a", "f32", [1, 2, 5, 6]), input("b", "f32", [2, 2, 2, 3])];
    const output = conv2d(a, b);
    const g = input("g", "f32", output.shape);
    const values = [output, ...gradients(sum(mul(output, g)), [a, b])];
    const elements = {
      a: Array<number>(60).fill(1),
      b: Array<number>(24).fill(1),
      g: Array<number>(32).fill(1),
    };
    elements.a[59] = Infinity; // the last one, which one output sees
    elements.g[5] = NaN;
    const expected = interpret(values, { inputs: elements });
    for (const variant of VARIANTS) {
      const found = await runValues(gpu, values, elements, new Map([["convolution", variant]]));
      values.forEach((_, index) =>
        expectSame(numbersOf(found[index]?.toArray() ?? []), expected[index] ?? [])
      );
    }
  }, TIMEOUT_MS);

  gpuTest(
    "OP-03 the weights' gradient of many images is as close to float64 as its documentation says",
    async (gpu) => {
      const [a, g] = [input("a", "f32", [16, 1, 32, 34]), input("g", "f32", [16, 1, 32, 32])];
      const b = input("b", "f32", [1, 1, 1, 3]);
      const [gradient] = gradients(sum(mul(conv2d(a, b), g)), [b]);
      if (gradient === undefined) throw new Error("no gradient");
      const elements = {
        a: Array.from({ length: 16 * 32 * 34 }, (_, index) => Math.fround(0.1 + index % 7)),
        b: [1, 2, 3],
        g: Array<number>(16 * 32 * 32).fill(Math.fround(0.1)),
      };
      const expected = interpret([gradient], { inputs: elements })[0] ?? [];
      const [found] = await runValues(gpu, [gradient], elements, new Map([["convolution", "direct"]]));
      expectClose(numbersOf(found?.toArray() ?? []), expected, { relative: (4096 + 4) * 2 ** -24 });
    },
    TIMEOUT_MS,
  );

  test("OP-03 packs nothing where the general variant is the only one that fits", () => {
    const sizes = sizesOf({ batch: 2, inChannels: 4, outChannels: 4, input: [5, 5], output: [3, 3] });
    const products: ConvolutionProduct[] = ["output", "inputGradient", "weightGradient"];
    for (const product of products) {
      const steps = (groups: number): string[] => labelsOf(product, { ...sizes, groups });
      expect(steps(4)).toEqual([`convolution ${product} element`]);
      expect(steps(1).at(-1)).not.toContain("element");
    }
  });
});

/** Of kernels of 3 x 3. */
function sizesOf(
  sizes: Pick<ConvolutionSizes, "batch" | "inChannels" | "outChannels" | "input" | "output">,
): ConvolutionSizes {
  return { ...sizes, groups: 1, kernel: [3, 3], stride: [1, 1], dilation: [1, 1], padding: [0, 0] };
}

/** What the steps of the direct variant are called. */
function labelsOf(product: ConvolutionProduct, sizes: ConvolutionSizes): string[] {
  const bindings = { factors: ["a", "b"], out: "out" } as const;
  return convolution<string>(product, bindings, sizes, "direct", NAMED_MEMORY).map(({ dispatch }) =>
    dispatch.label
  );
}
