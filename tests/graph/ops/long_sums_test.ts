import { describe, expect } from "bun:test";
import { gradients } from "../../../src/graph/autodiff.ts";
import { add, square, sub } from "../../../src/graph/ops/arithmetic.ts";
import { matmul } from "../../../src/graph/ops/matmul.ts";
import { randomUniform } from "../../../src/graph/ops/random.ts";
import { mean } from "../../../src/graph/ops/reduce.ts";
import { sum } from "../../../src/graph/ops/sum.ts";
import { broadcastTo } from "../../../src/graph/ops/views.ts";
import { sqrt } from "../../../src/graph/ops/transcendental.ts";
import { reshape } from "../../../src/graph/ops/views.ts";
import { constant, input } from "../../../src/graph/ops/sources.ts";
import type { Value } from "../../../src/graph/value.ts";
import { mse } from "../../../src/nn/losses/mse.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { runValues } from "../run_values.ts";

/** Of the sum of the magnitudes. */
const MOST_ERROR = 1e-6;
const LENGTHS = [1e5, 1e6, 1e7, 3.2e7];

/** `count` numbers, `numbers` again and again, in memory as `[count / length, length]`. */
function repeated(numbers: readonly number[], count: number): Value {
  const row = constant(HostTensor.from(numbers, [numbers.length]));
  return broadcastTo(row, [count / numbers.length, numbers.length]);
}

async function elementsOf(gpu: GpuDevice, ...values: Value[]): Promise<Float64Array[]> {
  return (await runValues(gpu, values, {})).map((tensor) => Float64Array.from(tensor.toArray(), Number));
}

/** Fails unless every element is as near to what it should be as is promised of sums. */
function expectSums(found: Float64Array | undefined, expected: number, magnitudes: number): void {
  for (const element of found ?? []) {
    const error = Math.abs(element - expected) / magnitudes;
    if (!(error <= MOST_ERROR)) throw new Error(`${element} is off by ${error}, expected ${expected}`);
  }
  expect(found?.length).toBeGreaterThan(0);
}

describe("sums of any length are off by at most 1e-6 of the sum of the magnitudes", () => {
  const tenth = Math.fround(0.1);
  for (const count of LENGTHS) {
    gpuTest(`a sum, a mean and a norm of ${count} times 0.1`, async (gpu) => {
      const x = reshape(repeated([0.1, 0.1], count), [count]);
      const [total, average] = await elementsOf(gpu, sum(x), mean(x));
      expectSums(total, tenth * count, tenth * count);
      expectSums(average, tenth, tenth);
      const [norm] = await elementsOf(gpu, sqrt(sum(square(x))));
      expectSums(norm, tenth * Math.sqrt(count), tenth * Math.sqrt(count));
    });
  }

  gpuTest("large terms of both signs leave what is between them", async (gpu) => {
    for (const count of [1e5, 1e7]) {
      const numbers = [1e6, 0.3, -1e6, -0.1].map(Math.fround);
      const expected = numbers.reduce((total, x) => total + x, 0) * count / 4;
      const [total] = await elementsOf(gpu, sum(repeated(numbers, count)));
      expectSums(total, expected, numbers.reduce((all, x) => all + Math.abs(x), 0) * count / 4);
    }
  });

  gpuTest("random numbers, as the host adds them in float64", async (gpu) => {
    const x = randomUniform([1000, 1001], { stream: 3 });
    const [elements = new Float64Array(), total, columns, rows] = await elementsOf(
      gpu,
      x,
      sum(x),
      sum(x, { axes: 0 }),
      sum(x, { axes: 1 }),
    );
    const exact = elements.reduce((all, value) => all + value, 0);
    expectSums(total, exact, exact);
    columns?.forEach((found, column) => {
      let exactly = 0;
      for (let row = 0; row < 1000; row++) exactly += elements[row * 1001 + column] ?? NaN;
      expectSums(Float64Array.of(found), exactly, exactly);
    });
    rows?.forEach((found, row) => {
      const exactly = elements.subarray(row * 1001, (row + 1) * 1001).reduce((all, value) => all + value, 0);
      expectSums(Float64Array.of(found), exactly, exactly);
    });
  });

  gpuTest("over leading, trailing, middle and separated axes, in few rows and in many", async (gpu) => {
    const count = 6e6;
    const x = repeated([0.1, 0.1], count);
    const views: [shape: number[], axes: number[]][] = [
      [[count / 3, 3], [0]],
      [[count / 100, 100], [0]],
      [[3, count / 3], [1]],
      [[100, count / 100], [1]],
      [[3, count / 15, 5], [1]],
      [[1000, 3, 2000], [0, 2]],
      [[50, 3, 200, 2, 100], [0, 2, 4]],
    ];
    const sums = await elementsOf(gpu, ...views.map(([shape, axes]) => sum(reshape(x, shape), { axes })));
    const [apart] = await elementsOf(gpu, mean(reshape(x, [50, 3, 200, 2, 100]), { axes: [0, 2, 4] }));
    expectSums(apart, tenth, tenth);
    views.forEach(([shape, axes], index) => {
      const terms = axes.reduce((product, axis) => product * (shape[axis] ?? 0), 1);
      expectSums(sums[index], tenth * terms, tenth * terms);
    });
  });

  gpuTest("the gradient of a bias, which is a sum over the batch", async (gpu) => {
    const batch = 1e6;
    const bias = input("bias", "f32", [4]);
    const loss = sum(add(repeated([0.1, 0.2, 0.3, 0.4], 4 * batch), bias));
    const [found] = await runValues(gpu, gradients(loss, [bias]), { bias: [0, 0, 0, 0] });
    expectSums(Float64Array.from(found?.toArray() ?? [], Number), batch, batch);
  });

  gpuTest("losses without exp", async (gpu) => {
    const [batch, features] = [4, 1e6];
    const output = reshape(repeated([0.1, 0.1], batch * features), [batch, features]);
    const labels = reshape(repeated([0.4, 0.4], batch * features), [batch, features]);
    const expected = Math.fround(Math.fround(0.4) - tenth) ** 2;
    const { value: losses } = mse()(output, labels);
    const [perExample, overall] = await elementsOf(gpu, losses, mean(losses));
    expectSums(perExample, expected, expected);
    expectSums(overall, expected, expected);
    const [difference] = await elementsOf(gpu, sum(sub(output, labels)));
    const exact = Math.fround(tenth - Math.fround(0.4)) * batch * features;
    expectSums(difference, exact, Math.abs(exact));
  });

  gpuTest("two runs give the same bits", async (gpu) => {
    const x = randomUniform([7, 100_003], { stream: 4 });
    const results = [sum(x), mean(x, { axes: 0 }), sum(x, { axes: 1 })];
    const [first, second] = [await elementsOf(gpu, ...results), await elementsOf(gpu, ...results)];
    expect(first).toEqual(second);
  });
});

describe("a matrix product over a long inner axis", () => {
  gpuTest("keeps the bound that its page names: k roundings of the magnitudes", async (gpu) => {
    const k = 100_000;
    const a = reshape(repeated([0.1, 0.1], 2 * k), [k, 2]);
    const [found] = await elementsOf(gpu, matmul(a, a, { transposeA: true }));
    const exact = k * Math.fround(0.1) ** 2;
    for (const element of found ?? []) expect(Math.abs(element - exact)).toBeLessThan(k * 2 ** -24 * exact);
    expect(found?.length).toBe(4);
  });
});
