import { describe, expect, test } from "bun:test";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import {
  calculateGain,
  eye,
  filled,
  type Initializer,
  kaimingNormal,
  kaimingUniform,
  type Layer,
  linear,
  Model,
  normal,
  ones,
  orthogonal,
  sequential,
  truncatedNormal,
  uniform,
  varianceScaling,
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

function sampleOf(
  initializer: Initializer,
  seed = 1,
  shape: readonly number[] = [80, 50],
): (gpu: GpuDevice) => Promise<number[]> {
  const layer: Layer = (x, scope) => {
    scope.parameter("w", shape, initializer);
    return x;
  };
  return async (gpu) => (await initialised(gpu, layer, seed))["model.w"] ?? [];
}

function spread(values: readonly number[]): { mean: number; deviation: number; most: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, deviation: Math.sqrt(variance), most: Math.max(...values.map(Math.abs)) };
}

/** The deviation of a normal distribution that is cut at two deviations. */
const TRUNCATED = 0.87962566;

/** The mean, deviation, skewness and kurtosis of numbers. */
function momentsOf(values: readonly number[]): number[] {
  const { mean, deviation } = spread(values);
  const of = (power: number): number =>
    values.reduce((sum, value) => sum + ((value - mean) / deviation) ** power, 0) / values.length;
  return [mean, deviation, of(3), of(4)];
}

/** The products of all pairs of rows of `[rows, columns]`. */
function productsOf(matrix: readonly number[], rows: number, columns: number): number[] {
  return Array.from({ length: rows * rows }, (_, at) => {
    const [a, b] = [Math.floor(at / rows) * columns, at % rows * columns];
    let sum = 0;
    for (let column = 0; column < columns; column++) {
      sum += (matrix[a + column] ?? NaN) * (matrix[b + column] ?? NaN);
    }
    return sum;
  });
}

function transposed(matrix: readonly number[], rows: number, columns: number): number[] {
  return matrix.map((_, at) => matrix[at % rows * columns + Math.floor(at / rows)] ?? NaN);
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
    ["LA-08 kaimingNormal by fanOut", kaimingNormal(1, { mode: "fanOut" }), {
      mean: 0,
      deviation: Math.sqrt(1 / 80),
      bound: 0.6,
    }],
    ["LA-08 kaimingUniform by fanOut", kaimingUniform(1, { mode: "fanOut" }), {
      mean: 0,
      deviation: Math.sqrt(1 / 80),
      bound: Math.sqrt(3 / 80),
    }],
    ["LA-08 truncatedNormal", truncatedNormal(0, 1), { mean: 0, deviation: TRUNCATED, bound: 2 }],
    ["LA-08 truncatedNormal of limits", truncatedNormal(1, 2, -1, 5), {
      mean: 1 + 2 * 0.2296372,
      deviation: 2 * 0.7209457,
      bound: 5,
    }],
    ["LA-08 truncatedNormal with nothing cut off", truncatedNormal(0, 0.02, -2, 2), {
      mean: 0,
      deviation: 0.02,
      bound: 0.12,
    }],
    ["LA-08 varianceScaling", varianceScaling(), {
      mean: 0,
      deviation: Math.sqrt(1 / 50),
      bound: 2 / TRUNCATED * Math.sqrt(1 / 50),
    }],
    ["LA-08 varianceScaling of normal weights", varianceScaling({ scale: 2, distribution: "normal" }), {
      mean: 0,
      deviation: Math.sqrt(2 / 50),
      bound: 1.2,
    }],
    [
      "LA-08 varianceScaling by fanAverage",
      varianceScaling({ mode: "fanAverage", distribution: "uniform" }),
      {
        mean: 0,
        deviation: Math.sqrt(1 / 65),
        bound: Math.sqrt(3 / 65) * (1 + 1e-6),
      },
    ],
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

  gpuTest("LA-08 truncatedNormal has the moments of its distribution, in 65,536 numbers", async (gpu) => {
    // Of a normal distribution cut at two deviations: the variance is 1 - 4 φ(2) / (2 Φ(2) - 1), and so on.
    const [mean, deviation, skewness, kurtosis] = momentsOf(
      await sampleOf(truncatedNormal(), 3, [256, 256])(gpu),
    );
    expect(Math.abs(mean ?? NaN)).toBeLessThan(0.014);
    expect(Math.abs((deviation ?? NaN) - TRUNCATED)).toBeLessThan(0.008);
    expect(Math.abs(skewness ?? NaN)).toBeLessThan(0.03);
    expect(Math.abs((kurtosis ?? NaN) - 2.3655)).toBeLessThan(0.03);
  });

  gpuTest(
    "LA-08 orthogonal has orthonormal rows, or columns where there are fewer, times its gain",
    async (gpu) => {
      for (
        const [shape, gain] of [[[50, 80], 1], [[80, 50], 2], [[64, 64], 1], [[7, 3], 1], [
          [12, 2, 3, 5],
          1,
        ]] as const
      ) {
        const [rows = 0] = shape;
        const columns = shape.slice(1).reduce((product, size) => product * size, 1);
        const found = await sampleOf(orthogonal(gain), 5, shape)(gpu);
        const isWide = rows <= columns;
        const matrix = isWide ? found : transposed(found, rows, columns);
        const fewer = Math.min(rows, columns);
        productsOf(matrix, fewer, Math.max(rows, columns)).forEach((product, at) => {
          const expected = at % (fewer + 1) === 0 ? gain ** 2 : 0;
          expect(Math.abs(product - expected)).toBeLessThan(2e-6 * gain ** 2);
        });
      }
    },
  );

  gpuTest(
    "LA-08 orthogonal points anywhere: elements have mean 0, variance 1 / n and no sign of their own",
    async (gpu) => {
      // Of the Haar measure each row is spread evenly on the sphere, so that an element has the variance 1 / n. The
      // diagonal tells a missing sign: its mean would be far from 0.
      const diagonals: number[] = [];
      const all: number[] = [];
      for (let seed = 1; seed <= 8; seed++) {
        const found = await sampleOf(orthogonal(), seed, [40, 40])(gpu);
        all.push(...found);
        diagonals.push(...Array.from({ length: 40 }, (_, at) => found[41 * at] ?? NaN));
      }
      const { mean, deviation } = spread(diagonals);
      expect(Math.abs(mean)).toBeLessThan(4 / Math.sqrt(40 * diagonals.length));
      expect(Math.abs(deviation * Math.sqrt(40) - 1)).toBeLessThan(0.15);
      const [, whole, skewness, kurtosis] = momentsOf(all);
      expect(Math.abs((whole ?? NaN) * Math.sqrt(40) - 1)).toBeLessThan(1e-3);
      expect(Math.abs(skewness ?? NaN)).toBeLessThan(0.1);
      expect(Math.abs((kurtosis ?? NaN) - 3 * 40 / 42)).toBeLessThan(0.2);
    },
  );

  gpuTest("LA-08 eye has its gain on the diagonal", async (gpu) => {
    for (const [rows, columns] of [[3, 3], [2, 5], [5, 2], [1, 1]] as const) {
      const found = await sampleOf(eye(2), 1, [rows, columns])(gpu);
      expect(found).toEqual(
        Array.from({ length: rows * columns }, (_, at) => Math.floor(at / columns) === at % columns ? 2 : 0),
      );
    }
  });

  test("LA-08 gains are PyTorch's, and what is not there is refused", () => {
    expect(calculateGain("tanh")).toBe(5 / 3);
    expect(calculateGain("leakyRelu", Math.sqrt(5))).toBeCloseTo(Math.sqrt(1 / 3), 12);
    expect(() => calculateGain("gelu" as never)).toThrow('calculateGain(): "gelu" is not one of');
    expect(() => kaimingUniform(1, { mode: "fan_in" as never })).toThrow("the mode is one of fanIn, fanOut");
    expect(() => varianceScaling({ scale: 0 })).toThrow("scale is a number above 0, found 0");
    expect(() => varianceScaling({ distribution: "cauchy" as never })).toThrow("found cauchy");
    expect(() => truncatedNormal(0, 1, 2, 2)).toThrow("low below high");
    expect(() => truncatedNormal(0, 1, 20, 30)).toThrow("there is nothing of a normal distribution");
    expect(() => orthogonal()([3], 0)).toThrow("orthogonal() needs a weight of two axes or more, found [3]");
    expect(() => eye()([3, 3, 3], 0)).toThrow("eye() needs a weight of two axes, found [3, 3, 3]");
  });

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
