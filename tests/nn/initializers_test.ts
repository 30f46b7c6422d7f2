import { describe, expect } from "bun:test";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import {
  filled,
  type Initializer,
  kaimingNormal,
  kaimingUniform,
  type Layer,
  linear,
  Model,
  normal,
  ones,
  sequential,
  uniform,
  xavierNormal,
  xavierUniform,
  zeros,
} from "../../src/nn/nn.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { gpuTest } from "../helpers/gpu.ts";

async function initialised(
  gpu: GpuDevice,
  layer: Layer,
  seed: number | bigint,
  inputs = 50,
): Promise<Record<string, number[]>> {
  const store = TensorStore.on(gpu);
  const model = Model.define(store, layer, { dtype: "f32", shape: [inputs] }, 2);
  await model.initialize(seed);
  const read = await store.read(store.tensors().map(({ name }) => name));
  await store.close();
  return Object.fromEntries(
    [...read].map(([name, tensor]) => [name, Array.from(tensor.toArray() as Float32Array)]),
  );
}

function sampleOf(initializer: Initializer, seed = 1): (gpu: GpuDevice) => Promise<number[]> {
  const layer: Layer = (x, scope) => {
    scope.parameter("w", [80, 50], initializer);
    return x;
  };
  return async (gpu) => (await initialised(gpu, layer, seed))["model.w"] ?? [];
}

function spread(values: readonly number[]): { mean: number; deviation: number; most: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, deviation: Math.sqrt(variance), most: Math.max(...values.map(Math.abs)) };
}

describe("initializers", () => {
  // 4000 numbers: the sample's deviation is within 1.2 % of the true one at one standard error, and the seed
  // is fixed.
  const cases: [string, Initializer, { mean: number; deviation: number; bound: number }][] = [
    ["uniform", uniform(-1, 3), { mean: 1, deviation: 4 / Math.sqrt(12), bound: 3 }],
    ["normal", normal(2, 0.5), { mean: 2, deviation: 0.5, bound: 5 }],
    ["kaimingUniform", kaimingUniform(), { mean: 0, deviation: Math.sqrt(2 / 50), bound: Math.sqrt(6 / 50) }],
    ["kaimingNormal", kaimingNormal(), { mean: 0, deviation: Math.sqrt(2 / 50), bound: 1.2 }],
    ["xavierUniform", xavierUniform(), { mean: 0, deviation: Math.sqrt(2 / 130), bound: Math.sqrt(6 / 130) }],
    ["xavierNormal", xavierNormal(2), { mean: 0, deviation: 2 * Math.sqrt(2 / 130), bound: 1.5 }],
  ];
  for (const [name, initializer, expected] of cases) {
    gpuTest(`${name} has the mean, the deviation and the bounds of its formula`, async (gpu) => {
      const { mean, deviation, most } = spread(await sampleOf(initializer)(gpu));
      expect(Math.abs(mean - expected.mean)).toBeLessThan(4 * expected.deviation / Math.sqrt(4000));
      expect(Math.abs(deviation / expected.deviation - 1)).toBeLessThan(0.05);
      expect(most).toBeLessThanOrEqual(expected.bound);
      expect(most).toBeGreaterThan(expected.deviation);
    });
  }

  gpuTest("zeros, ones and filled are exact", async (gpu) => {
    expect(new Set(await sampleOf(zeros())(gpu))).toEqual(new Set([0]));
    expect(new Set(await sampleOf(ones())(gpu))).toEqual(new Set([1]));
    expect(new Set(await sampleOf(filled(-0.1))(gpu))).toEqual(new Set([Math.fround(-0.1)]));
  });

  gpuTest("linear begins as PyTorch's does: weight and bias within ± 1 / sqrt(inputs)", async (gpu) => {
    const { "model.weight": weight = [], "model.bias": bias = [] } = await initialised(
      gpu,
      linear(50, 80),
      3,
    );
    const bound = 1 / Math.sqrt(50);
    expect(spread(weight).most).toBeLessThanOrEqual(bound);
    expect(spread(weight).most).toBeGreaterThan(0.99 * bound);
    expect(spread(bias).most).toBeLessThanOrEqual(bound);
    expect(spread(bias).most).toBeGreaterThan(0.9 * bound);
  });

  gpuTest("parameters of one shape begin differently, and all of it follows from the seed", async (gpu) => {
    const layer = sequential(linear(50, 50), linear(50, 50));
    const first = await initialised(gpu, layer, 1);
    expect(first["model.0.weight"]).not.toEqual(first["model.1.weight"]);
    expect(await initialised(gpu, layer, 1n)).toEqual(first);
    const other = await initialised(gpu, layer, 1n + (1n << 32n));
    expect(other["model.0.weight"]).not.toEqual(first["model.0.weight"]);
  });
});
