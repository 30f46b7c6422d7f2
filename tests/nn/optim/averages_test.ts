import { Buffer } from "node:buffer";
import { describe, expect, test } from "bun:test";
import { exportWeights } from "../../../src/checkpoint/compat/export_weights.ts";
import type { Engine } from "../../../src/checkpoint/engine/engine.ts";
import { ContainerReader } from "../../../src/container/read/container_reader.ts";
import { bytesSource } from "../../../src/container/source.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import {
  adamw,
  ema,
  lamb,
  linearWarmup,
  type Optimizer,
  scheduleFreeAdamw,
  sgd,
} from "../../../src/nn/optim/optim.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { readBytes } from "../../checkpoint/file/parts/frozen_tensors.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { expectClose } from "../../kernels/numbers.ts";
import {
  adamTwin,
  emaTwin,
  type OptimizerTwin,
  scheduleFreeTwin,
} from "../../kernels/twins/optimizer_twins.ts";
import { engineOn, type Fixture, smallRun, withTrainer } from "../../train/fixtures.ts";
import { gradientOf, runOf, SHAPES, statesOf, trained, type Weights, weightsOf } from "./given_gradients.ts";

const TOLERANCE = { absolute: 2e-6, relative: 2e-6 };
const WARMUP = linearWarmup(5, 0.01);

/** Optimisers that keep averages, with their twins, of which the last slot is the average. */
const AVERAGING: Readonly<Record<string, readonly [Optimizer, OptimizerTwin]>> = {
  "ema of adamw": [
    ema(adamw({ learningRate: 0.01 }), { decay: 0.8 }),
    emaTwin(adamTwin({ lr: 0.01, weightDecay: 0.01, isDecoupled: true }), 0.8),
  ],
  "schedule-free adamw with a warm-up and decay": [
    scheduleFreeAdamw({ learningRate: WARMUP, weightDecay: 0.1 }),
    scheduleFreeTwin({ rates: Array.from({ length: 20 }, (_, step) => WARMUP(step)), weightDecay: 0.1 }),
  ],
};

/** The mean loss of a run's data: each example is the sum of all weights, each times a number of the example. */
function lossBy(weights: Weights): number {
  let total = 0;
  for (let step = 0; step < 20; step++) {
    for (const [name, values] of weights) {
      const numbers = gradientOf(name, step);
      values.forEach((value, index) => total += value * (numbers[index] ?? NaN));
    }
  }
  return total / 20;
}

describe("averages of weights", () => {
  for (const [name, [optimizer, twin]] of Object.entries(AVERAGING)) {
    gpuTest(`OT-03 ${name}: weights and averages after 20 steps are those of float64`, async (gpu) => {
      let averages: Weights = new Map();
      const { before, after } = await trained(gpu, runOf(optimizer), async (made) => {
        averages = await weightsOf(made, "optimizer.average");
      });
      for (const parameter of Object.keys(SHAPES)) {
        const states = statesOf(twin, parameter, before);
        expectClose(after.get(parameter) ?? [], states.map(([p]) => p), TOLERANCE);
        expectClose(averages.get(parameter) ?? [], states.map((state) => state.at(-1) ?? NaN), TOLERANCE);
      }
      expect(averages).not.toEqual(after);
      expect((await trained(gpu, runOf(optimizer))).after).toEqual(after);
    });

    gpuTest(
      `OT-03 ${name}: the average is evaluated, and before the first update the weights`,
      async (gpu) => {
        const run = runOf(optimizer);
        await withTrainer(gpu, { ...run, validation: run.data }, async (made) => {
          const { trainer } = made;
          const { loss } = await trainer.evaluate(run.data);
          expectClose([loss], [lossBy(await weightsOf(made))], { absolute: 1e-4, relative: 1e-5 });
          await trainer.train({ epochs: 1, progress: false });
          const expected = lossBy(await weightsOf(made, "optimizer.average"));
          expectClose([(await trainer.evaluate()).loss], [expected], { absolute: 1e-4, relative: 1e-5 });
          expectClose([trainer.history.lastEpoch?.metrics.val_loss ?? NaN], [expected], {
            absolute: 1e-4,
            relative: 1e-5,
          });
          const predicted = (await trainer.predict(run.data)).toArray() as Float32Array;
          const mean = predicted.reduce((sum, each) => sum + each, 0) / 20;
          expectClose([mean], [expected], { absolute: 1e-4, relative: 1e-5 });
          expect(Math.abs(lossBy(await weightsOf(made)) - expected)).toBeGreaterThan(1e-2);
        });
      },
    );

    gpuTest(`OT-03 ${name}: the average is saved, resumed bit for bit, and exported`, async (gpu) => {
      const storage = new MemoryStorage();
      const undisturbed = await contentAfter(gpu, optimizer, new MemoryStorage(), [14]);
      await contentAfter(gpu, optimizer, storage, [7]);
      expect(await contentAfter(gpu, optimizer, storage, [7, 14])).toEqual(undisturbed);
      const engine = await engineOn(storage);
      const exported = await exportedFrom(engine, "at14");
      expect(exported.get("0.weight")).toBe(undisturbed["optimizer.average.0.weight"] ?? "none");
      const weights = await exportedFrom(engine, "at14", { averaged: false });
      expect(weights.get("0.weight")).toBe(undisturbed["model.0.weight"] ?? "none");
      expect(weights.get("0.weight")).not.toBe(exported.get("0.weight") ?? "none");
    });
  }

  gpuTest("OT-03 an export before the first update has the weights", async (gpu) => {
    const storage = new MemoryStorage();
    await withTrainer(gpu, smallRun({ optimizer: ema(adamw()) }), async ({ trainer, tensors }) => {
      trainer.autoSave({ savePath: await engineOn(storage) });
      await trainer.save("at0");
      const weight = (await tensors())["model.0.weight"] ?? "none";
      expect((await exportedFrom(await engineOn(storage), "at0")).get("0.weight")).toBe(weight);
    });
  });

  gpuTest(
    "OT-03 ema changes no bit of the weights, and looks at tensors where its optimizer does",
    async (gpu) => {
      for (const optimizer of [adamw({ learningRate: 0.01 }), lamb({ learningRate: 0.01 })]) {
        const plain = await trained(gpu, runOf(optimizer));
        expect((await trained(gpu, runOf(ema(optimizer)))).after).toEqual(plain.after);
      }
    },
  );

  gpuTest("OT-03 frozen parameters have no average, and are evaluated as they are", async (gpu) => {
    const groups = [{ parameters: "encoder.*", frozen: true }];
    const run = runOf(ema(sgd({ learningRate: 0.01, groups }), { decay: 0.5 }));
    await withTrainer(gpu, run, async (made) => {
      await made.trainer.train({ epochs: 1, progress: false });
      const averages = await weightsOf(made, "optimizer.average");
      expect(averages.has("encoder.weight")).toBe(false);
      const expected = lossBy(new Map([...await weightsOf(made), ...averages]));
      const { loss } = await made.trainer.evaluate(run.data);
      expectClose([loss], [expected], { absolute: 1e-4, relative: 1e-5 });
    });
  });

  gpuTest("OT-03 ema can begin within a run: with its weights, and the moments go on", async (gpu) => {
    const storage = new MemoryStorage();
    const optimizer = adamw({ learningRate: 0.02 });
    await contentAfter(gpu, optimizer, storage, [7]);
    const plain = await contentAfter(gpu, optimizer, new MemoryStorage(), [14]);
    await withTrainer(gpu, smallRun({ optimizer: ema(optimizer, { decay: 0.5 }) }), async (made) => {
      made.trainer.autoSave({ savePath: await engineOn(storage) });
      expect((await thrownBy(() => made.trainer.resume())).message).toContain("optimizer.ema");
      expect((await made.trainer.resume({ allow: ["optimizer"] })).step).toBe(7);
      const begun = await made.tensors();
      expect(begun["optimizer.average.0.weight"]).toBe(begun["model.0.weight"] ?? "none");
      await made.trainer.train({ epochs: 2, progress: false });
      const further = await made.tensors();
      expect(further["model.0.weight"]).toBe(plain["model.0.weight"] ?? "none");
      expect(further["optimizer.average.0.weight"]).not.toBe(begun["optimizer.average.0.weight"] ?? "none");
    });
  });

  test("OT-03 an optimizer that keeps an average already, and an invalid decay, are refused", () => {
    const twice = ema(scheduleFreeAdamw());
    expect(() => twice.rulesFor([{ name: "weight", shape: [1] }])).toThrow("keeps an average already");
    expect(() => ema(sgd({ learningRate: 1 }), { decay: 1 })).toThrow(
      "ema: decay is a number from 0 to below 1",
    );
  });

  test("OT-01 the share of schedule-free adamw is a function of the step, wherever a run begins", () => {
    const { scalars } = scheduleFreeAdamw({ learningRate: (step) => step });
    expect(scalars(3)).toEqual([3, 9 / 14]);
    expect(scalars(0)).toEqual([0, 0]);
    expect(scalars(1)).toEqual([1, 1]);
    expect(scalars(3)).toEqual([3, 9 / 14]);
    expect(() =>
      scheduleFreeAdamw({
        groups: Array.from({ length: 8 }, (_, i) => ({ parameters: `${i}`, learningRate: i })),
      })
    )
      .toThrow("a step takes at most 8");
  });
});

/** Trains to each of `steps` in turn, saves there, and gives every tensor of the last. Goes on where there is one. */
async function contentAfter(
  gpu: GpuDevice,
  optimizer: Optimizer,
  storage: MemoryStorage,
  steps: readonly number[],
): Promise<Record<string, string>> {
  return await withTrainer(gpu, smallRun({ optimizer }), async (made: Fixture) => {
    made.trainer.autoSave({ savePath: await engineOn(storage) });
    await made.trainer.resume();
    const last = steps.at(-1) ?? 0;
    await made.trainer.train({ epochs: last / 7, progress: false });
    await made.trainer.save(`at${last}`, { overwrite: true });
    return await made.tensors();
  });
}

/** The weights that an export of a checkpoint has, as hexadecimal text. */
async function exportedFrom(
  engine: Engine,
  tag: string,
  options: { readonly averaged?: boolean } = {},
): Promise<Map<string, string>> {
  const checkpoint = await engine.load(tag);
  const storage = new MemoryStorage();
  try {
    const { tensors } = await exportWeights(checkpoint, storage, "weights.cairn", options);
    const reader = await ContainerReader.open(bytesSource(await readBytes(storage, "weights.cairn")));
    const read = tensors.map(async (name) =>
      [name, Buffer.from(await reader.read(name)).toString("hex")] as const
    );
    return new Map(await Promise.all(read));
  } finally {
    await checkpoint.close();
  }
}
