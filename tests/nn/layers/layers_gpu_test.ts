import { describe, expect } from "bun:test";
import {
  crossEntropy,
  dropout,
  type ExampleLoss,
  layerNorm,
  linear,
  mse,
  sequential,
} from "../../../src/nn/nn.ts";
import { Executable } from "../../../src/graph/executable.ts";
import { input } from "../../../src/graph/ops/sources.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { forward } from "../forward.ts";

function closeTo(found: readonly number[], expected: readonly number[], tolerance = 1e-5): void {
  expect(found).toHaveLength(expected.length);
  const worst = found.reduce((most, value, i) => Math.max(most, Math.abs(value - (expected[i] ?? NaN))), 0);
  expect(worst).toBeLessThan(tolerance);
}

describe("layers on the GPU", () => {
  gpuTest("linear is x Wᵀ + b, over the last axis of any rank", async (gpu) => {
    const parameters = {
      weight: HostTensor.from([1, 2, 3, 4, 5, 6], [2, 3]),
      bias: HostTensor.from([0.5, -0.5], [2]),
    };
    const x = [1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1];
    const rows = [[1.5, 3.5], [2.5, 4.5], [3.5, 5.5], [6.5, 14.5]];
    closeTo(await forward(gpu, linear(3, 2), HostTensor.from(x, [2, 2, 3]), { parameters }), rows.flat());
    const unbiased = rows.flatMap(([first = 0, second = 0]) => [first - 0.5, second + 0.5]);
    const { weight } = parameters;
    const options = { parameters: { weight } };
    closeTo(
      await forward(gpu, linear(3, 2, { bias: false }), HostTensor.from(x, [2, 2, 3]), options),
      unbiased,
    );
  });

  gpuTest("layerNorm gives rows of mean 0 and variance 1, scaled and shifted", async (gpu) => {
    const rows = [[1, 2, 3, 6], [10, 10, 10, 10], [-5, 5, -5, 5]];
    const parameters = {
      weight: HostTensor.from([1, 2, 3, 4], [4]),
      bias: HostTensor.from([0, 1, 0, -1], [4]),
    };
    const expected = rows.flatMap((row) => {
      const mean = row.reduce((sum, value) => sum + value, 0) / 4;
      const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 4;
      return row.map((value, i) =>
        (value - mean) / Math.sqrt(variance + 1e-5) * ([1, 2, 3, 4][i] ?? 0) + ([0, 1, 0, -1][i] ?? 0)
      );
    });
    closeTo(
      await forward(gpu, layerNorm(4), HostTensor.from(rows.flat(), [3, 4]), { parameters }),
      expected,
      1e-4,
    );
  });

  gpuTest("dropout drops about its rate, keeps the mean, and is a function of seed and step", async (gpu) => {
    const x = HostTensor.from(new Float32Array(4096).fill(1), [64, 64]);
    const drop = (seed: number, step: number) =>
      forward(gpu, dropout(0.25), x, { isTraining: true, seed, step });
    const first = await drop(1, 0);
    const dropped = first.filter((value) => value === 0).length;
    // A binomial of 4096 draws at 0.25 has a standard deviation of 28; the seed is fixed.
    expect(Math.abs(dropped - 1024)).toBeLessThan(4 * 28);
    expect(new Set(first)).toEqual(new Set([0, Math.fround(1 / 0.75)]));
    expect(await drop(1, 0)).toEqual(first);
    expect(await drop(1, 1)).not.toEqual(first);
    expect(await drop(2, 0)).not.toEqual(first);
    expect(await forward(gpu, dropout(0.25), x)).toEqual(Array.from({ length: 4096 }, () => 1));
  });

  gpuTest("two dropouts of a model drop independently", async (gpu) => {
    const x = HostTensor.from(new Float32Array(4096).fill(1), [64, 64]);
    const both = await forward(gpu, sequential(dropout(0.5), dropout(0.5)), x, { isTraining: true });
    const kept = both.filter((value) => value !== 0).length;
    expect(Math.abs(kept - 1024)).toBeLessThan(4 * 28);
  });
});

async function perExample(
  gpu: GpuDevice,
  loss: ExampleLoss,
  output: HostTensor,
  labels: HostTensor,
): Promise<number[]> {
  const x = input("x", output.dtype, output.shape);
  const y = input("y", labels.dtype, labels.shape);
  const executable = await Executable.compile(gpu, {
    inputs: [x, y],
    outputs: { result: loss(x, y).value },
    parameters: () => {
      throw new Error("there are none");
    },
  });
  executable.run({ x: output, y: labels });
  const [result] = await executable.read("result");
  executable.close();
  return Array.from(result?.toArray() as Float32Array);
}

describe("losses on the GPU", () => {
  gpuTest("mse is the mean of the squares of each example", async (gpu) => {
    const output = HostTensor.from([1, 2, 3, 4, 5, 6], [2, 3]);
    const labels = HostTensor.from([1, 0, 0, 4, 5, 0], [2, 3]);
    closeTo(await perExample(gpu, mse(), output, labels), [13 / 3, 12]);
  });

  gpuTest("crossEntropy is -log softmax at the label, also for large logits", async (gpu) => {
    const logits = [[1, 2, 3], [1000, 0, -1000], [0, 0, 0]];
    const labels = HostTensor.from(new Uint32Array([2, 1, 0]), [3]);
    const expected = [Math.log(1 + Math.exp(-1) + Math.exp(-2)), 1000, Math.log(3)];
    closeTo(
      await perExample(gpu, crossEntropy(), HostTensor.from(logits.flat(), [3, 3]), labels),
      expected,
      1e-4,
    );
  });
});
