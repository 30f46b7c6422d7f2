import { describe, expect } from "bun:test";
import type { Engine } from "../../src/checkpoint/engine/engine.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { adamw, cosineDecay, linearWarmup, sgd } from "../../src/nn/optim/optim.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import type { TrainerOptions } from "../../src/train/trainer.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { BATCH, blobs, engineOn, type Fixture, smallRun, withTrainer } from "./fixtures.ts";

/** Options anew for each process: a trainer shares nothing with the one before. */
type MakeOptions = () => TrainerOptions;

/** Trains to `step`, does `last` there, and is killed. */
async function trainTo(
  { trainer }: Fixture,
  step: number,
  last: () => Promise<unknown> = () => Promise.resolve(),
): Promise<void> {
  const controller = new AbortController();
  const onStep = async (event: { step: number }): Promise<void> => {
    if (event.step !== step) return;
    await last();
    controller.abort(new Error("killed"));
  };
  const options = { epochs: 1000, progress: false, signal: controller.signal, onStep };
  expect((await thrownBy(() => trainer.train(options))).message).toBe("killed");
}

/** Everything that a run consists of, as its checkpoint says it, and every tensor. */
async function contentOf({ trainer, tensors }: Fixture, engine: Engine): Promise<unknown> {
  await trainer.save("content");
  const checkpoint = await engine.load("content");
  // How long it took and which save was the last are not what was computed.
  const { walltime: _, autoSaver: __, ...state } = await checkpoint.state() as Record<string, unknown>;
  const { variants } = checkpoint.provenance;
  await checkpoint.close();
  return { state, variants, tensors: await tensors() };
}

async function undisturbed(gpu: GpuDevice, make: MakeOptions, steps: number): Promise<unknown> {
  return await withTrainer(gpu, make(), async (made) => {
    const savePath = await engineOn();
    made.trainer.autoSave({ savePath });
    await trainTo(made, 2 * steps);
    return await contentOf(made, savePath);
  });
}

/** `steps`, a save, the end of everything, and in another process from the same files `steps` again. */
async function interrupted(gpu: GpuDevice, make: MakeOptions, steps: number): Promise<unknown> {
  const storage = new MemoryStorage();
  await withTrainer(gpu, make(), async (made) => {
    made.trainer.autoSave({ savePath: await engineOn(storage) });
    await trainTo(made, steps, () => made.trainer.save("half"));
  });
  return await withTrainer(gpu, make(), async (made) => {
    const savePath = await engineOn(storage);
    made.trainer.autoSave({ savePath });
    expect((await made.trainer.resume()).step).toBe(steps);
    await trainTo(made, 2 * steps);
    return await contentOf(made, savePath);
  });
}

describe("2N steps, and N steps, a save, a kill, a load and N steps", () => {
  const validation = () => blobs(20, { batchSize: BATCH });
  const configurations: [name: string, steps: number, make: MakeOptions][] = [
    [
      "AdamW with a cosine, dropout and shuffling, in the middle of an epoch",
      10,
      () => smallRun({ optimizer: adamw({ learningRate: cosineDecay(0.02, 40) }), validation: validation() }),
    ],
    ["SGD with Nesterov's momentum, weight decay and a warm-up, at the end of an epoch", 7, () =>
      smallRun({
        optimizer: sgd({
          learningRate: linearWarmup(9, 0.05),
          momentum: 0.9,
          nesterov: true,
          weightDecay: 1e-3,
        }),
        validation: validation(),
      })],
    [
      "plain SGD without shuffling, right after its first step",
      1,
      () => smallRun({ optimizer: sgd({ learningRate: 0.05 }), data: blobs(59, { batchSize: BATCH }) }),
    ],
    [
      "AdamW over the turn of the loss ring, at step 64",
      64,
      () => smallRun({ data: blobs(163, { batchSize: BATCH, shuffle: true }) }),
    ],
    ["AdamW with decay, a seed of 64 bits and an order of the loader's own", 12, () =>
      smallRun({
        optimizer: adamw({ learningRate: 0.01, beta1: 0.8, weightDecay: 0.2 }),
        seed: 0xfedc_ba98_7654_3210n,
        data: blobs(59, { batchSize: BATCH, shuffle: true, seed: 77 }),
      })],
  ];
  for (const [name, steps, make] of configurations) {
    gpuTest(`M2 give the same weights, moments, losses, random numbers and cursor: ${name}`, async (gpu) => {
      const expected = await undisturbed(gpu, make, steps);
      expect(await interrupted(gpu, make, steps)).toEqual(expected);
      expect(expected).toMatchObject({ state: { step: 2 * steps } });
    }, 600_000);
  }

  gpuTest("M2 is a comparison that notices another order of the data", async (gpu) => {
    const make = (seed: number): MakeOptions => () =>
      smallRun({ data: blobs(59, { batchSize: BATCH, shuffle: true, seed }) });
    expect(await interrupted(gpu, make(1), 3)).not.toEqual(await undisturbed(gpu, make(2), 3));
  });
});
