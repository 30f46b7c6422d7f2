import { describe, expect, test } from "bun:test";
import { input } from "../../../src/graph/ops/sources.ts";
import { reshape } from "../../../src/graph/ops/views.ts";
import {
  batchNorm,
  type BatchNormOptions,
  groupNorm,
  type Layer,
  layerNorm,
  rmsNorm,
  Scope,
} from "../../../src/nn/nn.ts";
import { adamw } from "../../../src/nn/optim/optim.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { expectClose } from "../../kernels/numbers.ts";
import { engineOn, FEATURES, withTrainer } from "../../train/fixtures.ts";
import {
  batchOf,
  checkTraining,
  modelTensors,
  STEPS,
  type TrainedCase,
  trainedRun,
  type Weights,
} from "./trained_layer.ts";

const BATCHES = 5;

/** Rows of `channels * inner` features, normalised channel by channel by these statistics. */
function byChannel(
  rows: readonly (readonly number[])[],
  channels: number,
  { weight = [], bias = [] }: Weights,
  statistics: { mean: readonly number[]; variance: readonly number[] },
): number[][] {
  const inner = FEATURES / channels;
  return rows.map((row) =>
    row.map((element, at) => {
      const channel = Math.floor(at / inner);
      const { mean, variance } = statistics;
      const scale = 1 / Math.sqrt((variance[channel] ?? NaN) + 1e-5);
      return (element - (mean[channel] ?? NaN)) * scale * (weight[channel] ?? 1) + (bias[channel] ?? 0);
    })
  );
}

/** Mean and biased variance of each channel. */
function statisticsOf(rows: readonly (readonly number[])[], channels: number) {
  const inner = FEATURES / channels;
  const groups = Array.from(
    { length: channels },
    (_, channel) => rows.flatMap((row) => row.slice(channel * inner, (channel + 1) * inner)),
  );
  const mean = groups.map((group) => group.reduce((sum, x) => sum + x, 0) / group.length);
  const variance = groups.map((group, at) =>
    group.reduce((sum, x) => sum + (x - (mean[at] ?? NaN)) ** 2, 0) / group.length
  );
  return { mean, variance, count: rows.length * inner };
}

/** Running statistics in float64 after so many steps. */
function runningAfter(steps: number, channels: number, momentum: number | null) {
  let mean = Array<number>(channels).fill(0);
  let variance = Array<number>(channels).fill(1);
  for (let step = 0; step < steps; step++) {
    const batch = statisticsOf(batchOf(step % BATCHES).rows, channels);
    const share = momentum ?? 1 / (step + 1);
    const unbiased = batch.variance.map((each) => each * batch.count / (batch.count - 1));
    mean = mean.map((before, at) => (1 - share) * before + share * (batch.mean[at] ?? NaN));
    variance = variance.map((before, at) => (1 - share) * before + share * (unbiased[at] ?? NaN));
  }
  return { mean, variance };
}

/** A batchNorm over rows that are seen as so many channels. */
function normOver(channels: number, options: BatchNormOptions = {}): Layer {
  const norm = batchNorm(channels, options);
  const inner = FEATURES / channels;
  if (inner === 1) return norm;
  return (x, scope) => reshape(norm(reshape(x, [-1, channels, inner]), scope), [-1, FEATURES]);
}

function caseOf(channels: number, options: BatchNormOptions = {}): TrainedCase {
  return {
    layer: normOver(channels, options),
    forward: (rows, weights) => byChannel(rows, channels, weights, statisticsOf(rows, channels)),
  };
}

function rowNorm(size: number, epsilon: number, isCentred: boolean): TrainedCase["forward"] {
  return (rows, { weight = [], bias = [] }) =>
    rows.map((row) =>
      row.map((element, at) => {
        const first = Math.floor(at / size) * size;
        const part = row.slice(first, first + size);
        const mean = isCentred ? part.reduce((sum, x) => sum + x, 0) / size : 0;
        const variance = part.reduce((sum, x) => sum + (x - mean) ** 2, 0) / size;
        return (element - mean) / Math.sqrt(variance + epsilon) * (weight[at] ?? NaN) + (bias[at] ?? 0);
      })
    );
}

describe("norms in training", () => {
  const cases: Readonly<Record<string, TrainedCase>> = {
    layerNorm: { layer: layerNorm(FEATURES), forward: rowNorm(FEATURES, 1e-5, true) },
    rmsNorm: { layer: rmsNorm(FEATURES), forward: rowNorm(FEATURES, 2 ** -23, false) },
    groupNorm: { layer: groupNorm(2, FEATURES), forward: rowNorm(3, 1e-5, true) },
  };
  for (const [name, trained] of Object.entries(cases)) {
    gpuTest(`LA-03 ${name} is float64's over 20 steps`, async (gpu) => {
      await checkTraining(gpu, trained, () => Promise.resolve());
    });
  }

  for (const [channels, what] of [[FEATURES, "features"], [3, "channels of two"]] as const) {
    gpuTest(
      `LA-02 batchNorm of ${what} is float64's over 20 steps, with its running statistics`,
      async (gpu) => {
        await checkTraining(gpu, caseOf(channels), async (made, weights) => {
          const running = runningAfter(STEPS, channels, 0.1);
          const found = await modelTensors(made, (name) => name.includes("running"));
          expect(Object.keys(found)).toEqual(["0.running_mean", "0.running_var"]);
          expectClose(found["0.running_mean"] ?? [], running.mean, { absolute: 1e-6, relative: 1e-6 });
          expectClose(found["0.running_var"] ?? [], running.variance, { absolute: 1e-6, relative: 2e-6 });
          // In evaluation those count, whatever is in the batch, and stay as they are.
          const before = await made.tensors();
          const predicted = Array.from(
            (await made.trainer.predict(trainedRun(normOver(channels)).data)).toArray(),
            Number,
          );
          expect(await made.tensors()).toEqual(before);
          const { rows } = batchOf(0);
          const own = { weight: weights["0.weight"] ?? [], bias: weights["0.bias"] ?? [] };
          const expected = byChannel(rows, channels, own, running).flatMap((row) =>
            [0, 1, 2].map((label) =>
              [0, 1].reduce(
                (sum, place) =>
                  sum + (row[2 * label + place] ?? NaN) * (weights["1.scale"]?.[2 * label + place] ?? NaN),
                weights["1.bias"]?.[label] ?? NaN,
              )
            )
          );
          expectClose(predicted.slice(0, expected.length), expected, { absolute: 1e-4, relative: 1e-4 });
        });
      },
    );
  }

  gpuTest("LA-02 batchNorm of momentum null has the mean of all batches, and their number", async (gpu) => {
    const options = trainedRun(normOver(FEATURES, { momentum: null, affine: false }));
    await withTrainer(gpu, options, async (made) => {
      await made.trainer.train({ epochs: 2, progress: false });
      const found = await modelTensors(made, (name) => name.startsWith("0."));
      const running = runningAfter(2 * BATCHES, FEATURES, null);
      expect(Object.keys(found)).toEqual(["0.running_mean", "0.running_var", "0.num_batches_tracked"]);
      expect(found["0.num_batches_tracked"]).toEqual([10]);
      expectClose(found["0.running_mean"] ?? [], running.mean, { absolute: 1e-6, relative: 1e-6 });
      expectClose(found["0.running_var"] ?? [], running.variance, { absolute: 1e-6, relative: 2e-6 });
    });
  });

  gpuTest("LA-02 batchNorm is resumed bit for bit, and no decay touches its statistics", async (gpu) => {
    for (const microBatchSize of [undefined, 5]) {
      const storage = new MemoryStorage();
      const options = trainedRun(normOver(3), {
        microBatchSize,
        optimizer: adamw({ learningRate: 0.02, weightDecay: 0.5 }),
      });
      const undisturbed = await withTrainer(gpu, options, async (made) => {
        await made.trainer.train({ epochs: 4, progress: false });
        return await made.tensors();
      });
      await withTrainer(gpu, options, async (made) => {
        made.trainer.autoSave({ savePath: await engineOn(storage), interval: 1 });
        await made.trainer.train({ epochs: 2, progress: false });
      });
      await withTrainer(gpu, options, async (made) => {
        made.trainer.autoSave({ savePath: await engineOn(storage) });
        expect((await made.trainer.resume()).step).toBe(2 * BATCHES);
        await made.trainer.train({ epochs: 4, progress: false });
        expect(await made.tensors()).toEqual(undisturbed);
        if (microBatchSize !== undefined) return;
        const running = runningAfter(4 * BATCHES, 3, 0.1);
        const found = await modelTensors(made, (name) => name.includes("running"));
        expectClose(found["0.running_mean"] ?? [], running.mean, { absolute: 1e-6, relative: 1e-6 });
        expectClose(found["0.running_var"] ?? [], running.variance, { absolute: 1e-6, relative: 2e-6 });
      });
    }
  });
});

describe("a batchNorm that does not fit", () => {
  const x = (shape: readonly number[]) => input("x", "f32", shape);
  const training = (): Scope => Scope.root({ isTraining: true });

  test("LA-02 is refused with its name and both shapes", () => {
    expect(() => batchNorm(3)(x([2, 4]), training())).toThrow(
      "batchNorm(3): takes [batch, 3, …], found [2, 4]",
    );
    expect(() => batchNorm(3)(x([3]), training().child("norm"))).toThrow(
      'batchNorm(3) at "norm": takes [batch, 3, …], found [3]',
    );
    expect(() => batchNorm(3)(x([1, 3]), training())).toThrow("one element a channel has no variance");
    expect(batchNorm(3)(x([1, 3]), Scope.root({ isTraining: false })).shape).toEqual([1, 3]);
    expect(() => batchNorm(0)).toThrow("the number of channels is a whole number from 1, found 0");
    expect(() => batchNorm(3, { momentum: 1.5 })).toThrow(
      "momentum is a number from 0 to 1, or null, found 1.5",
    );
  });

  test("LA-02 its names and initial values are PyTorch's", () => {
    const scope = training();
    batchNorm(3)(x([2, 3, 4, 5]), scope);
    expect(scope.parameters.map(({ name }) => name)).toEqual(["weight", "bias"]);
    expect(scope.buffers.map(({ name, shape }) => [name, shape])).toEqual([
      ["running_mean", [3]],
      ["running_var", [3]],
    ]);
  });
});
