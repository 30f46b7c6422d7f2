import { describe, expect, test } from "bun:test";
import { gradients } from "../../../src/graph/autodiff.ts";
import { mul, square } from "../../../src/graph/ops/arithmetic.ts";
import { softmaxCrossEntropy } from "../../../src/graph/ops/softmax_cross_entropy.ts";
import { sum } from "../../../src/graph/ops/sum.ts";
import { weighted } from "../../../src/graph/ops/weighted.ts";
import { input } from "../../../src/graph/ops/sources.ts";
import type { Value } from "../../../src/graph/value.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { crossEntropy } from "../../../src/nn/losses/cross_entropy.ts";
import { mse } from "../../../src/nn/losses/mse.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { expectNear, runValues } from "../../graph/run_values.ts";

const [N, I] = [NaN, Infinity];

async function elementsOf(
  gpu: GpuDevice,
  values: readonly Value[],
  inputs: Readonly<Record<string, readonly number[]>>,
): Promise<number[][]> {
  return (await runValues(gpu, values, inputs)).map((tensor) => Array.from(tensor.toArray(), Number));
}

/** Logits that have no loss, each with the label of its row. The last row is a sound one. */
const BAD_ROWS: readonly (readonly [logits: number[], label: number])[] = [
  [[N, 1, 2], 0],
  [[I, 1, 2], 1],
  [[-I, -I, -I], 2],
  [[I, I, -I], 0],
  [[1, 2, 3], 3],
  [[1, 2, 3], 2 ** 32 - 1],
  [[0, 0, 0], 1],
];
const ROWS = BAD_ROWS.length;
const LOGITS = BAD_ROWS.flatMap(([logits]) => logits);
const LABELS = BAD_ROWS.map(([, label]) => label);
const ONLY_LAST = BAD_ROWS.map((_, row) => row === ROWS - 1 ? 3 : 0);
const GRADIENT_OF_LAST = [...Array<number>(3 * (ROWS - 1)).fill(0), 1, -2, 1];

const logits = input("logits", "f32", [ROWS, 3]);
const labels = input("labels", "u32", [ROWS]);
const weights = input("weights", "f32", [ROWS]);
const inputs = { logits: LOGITS, labels: LABELS, weights: ONLY_LAST };

describe("a row of weight 0", () => {
  gpuTest("has cross-entropy 0 and gradient 0, whatever its logits and its label are", async (gpu) => {
    const { value: losses } = crossEntropy()(logits, labels, weights);
    const values = [losses, ...gradients(sum(losses), [logits])];
    const [found = [], gradient = []] = await elementsOf(gpu, values, inputs);
    expectNear(found, ONLY_LAST.map((weight) => weight * Math.log(3)), 1e-6);
    expectNear(gradient, GRADIENT_OF_LAST, 1e-6);
  });

  gpuTest("of losses that are multiplied by hand gets no gradient either", async (gpu) => {
    const loss = sum(mul(softmaxCrossEntropy(logits, labels), weights));
    const [gradient = []] = await elementsOf(gpu, gradients(loss, [logits]), inputs);
    expectNear(gradient, GRADIENT_OF_LAST, 1e-6);
  });

  gpuTest("gives 0 where all weights are 0, and no gradient of a gradient", async (gpu) => {
    const { value: losses } = crossEntropy()(logits, labels, weights);
    const [gradient = losses] = gradients(sum(losses), [logits]);
    const [second = losses] = gradients(sum(square(gradient)), [logits]);
    const nothing = { ...inputs, weights: ONLY_LAST.map(() => -0) };
    for (const elements of await elementsOf(gpu, [losses, gradient, second], nothing)) {
      expectNear(elements, elements.map(() => 0), 0);
    }
  });

  gpuTest("with more than 128 classes, too", async (gpu) => {
    const wide = input("wide", "f32", [2, 200]);
    const two = { labels: input("two", "u32", [2]), weights: input("w", "f32", [2]) };
    const { value: losses } = crossEntropy()(wide, two.labels, two.weights);
    const elements = [...Array<number>(200).fill(0), ...Array<number>(200).fill(N)];
    const [found = [], gradient = []] = await elementsOf(gpu, [losses, ...gradients(sum(losses), [wide])], {
      wide: elements,
      two: [0, 999],
      w: [1, 0],
    });
    expectNear(found, [Math.log(200), 0], 1e-5);
    expectNear(gradient, elements.map((_, index) => index >= 200 ? 0 : 1 / 200 - Number(index === 0)), 1e-6);
  });

  gpuTest("has squared error 0 and gradient 0, whatever its output and its labels are", async (gpu) => {
    const [output, wanted, w] = [
      input("o", "f32", [4, 2]),
      input("l", "f32", [4, 2]),
      input("w", "f32", [4]),
    ];
    const { value: losses } = mse()(output, wanted, w);
    const [found, ...found_gradients] = await elementsOf(
      gpu,
      [losses, ...gradients(sum(losses), [output, wanted])],
      { o: [N, 1, I, 1, 1, 2, 5, 1], l: [0, 0, 0, 0, I, N, 2, 1], w: [0, 0, 0, 2] },
    );
    expect(found).toEqual([0, 0, 0, 9]);
    expectNear(found_gradients[0] ?? [], [0, 0, 0, 0, 0, 0, 6, 0], 0);
    expectNear(found_gradients[1] ?? [], [0, 0, 0, 0, 0, 0, -6, 0], 0);
  });
});

describe("a weight", () => {
  gpuTest("that is not 0 hides nothing: NaN stays NaN", async (gpu) => {
    const { value: losses } = crossEntropy()(logits, labels, weights);
    const all = { ...inputs, weights: ONLY_LAST.map(() => 1) };
    const [found = []] = await elementsOf(gpu, [losses], all);
    expectNear(found, [N, N, N, N, N, N, Math.log(3)], 1e-6);
  });

  gpuTest("of NaN gives NaN, and one of 0 lets no infinite gradient through", async (gpu) => {
    const [x, w] = [input("x", "f32", [3]), input("w", "f32", [3])];
    const product = weighted(x, w);
    const steep = sum(mul(product, I));
    const [found, gradient] = await elementsOf(gpu, [product, ...gradients(steep, [x])], {
      x: [N, 2, 3],
      w: [0, N, 2],
    });
    expect(found).toEqual([0, N, 6]);
    expect(gradient).toEqual([0, N, I]);
  });

  test("of another shape or dtype is a TypeError that says which it has to be", () => {
    const wrong = input("w", "f32", [ROWS, 1]);
    expect(() => crossEntropy()(logits, labels, wrong)).toThrow(
      `crossEntropy: takes weights of shape [${ROWS}] and dtype f32, one an example, found f32 of shape [${ROWS}, 1]`,
    );
    expect(() => mse()(logits, logits, labels)).toThrow(TypeError);
  });
});
