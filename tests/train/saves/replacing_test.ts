import { describe, expect } from "bun:test";
import { CairnError } from "../../../src/base/errors.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { adamw } from "../../../src/nn/optim/optim.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import type { Storage } from "../../../src/storage/storage.ts";
import type { AutoSaveOptions } from "../../../src/train/saves/auto_save_options.ts";
import type { TrainReport } from "../../../src/train/train_options.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { HookedStorage } from "../../helpers/hooked_storage.ts";
import { until } from "../../helpers/turns.ts";
import { BATCH, blobs, engineOn, smallRun, withTrainer } from "../fixtures.ts";

/** Seven steps an epoch; the validation loss falls with each, and stays about 1. */
async function train(
  gpu: GpuDevice,
  epochs: number,
  options: AutoSaveOptions,
  storage: Storage = new MemoryStorage(),
): Promise<{ stepsByTag: Record<string, number | undefined>; report: TrainReport }> {
  const optimizer = adamw({ learningRate: 0.002 });
  const run = smallRun({ optimizer, validation: blobs(20, { batchSize: BATCH }) });
  const report = await withTrainer(gpu, run, async ({ trainer }) => {
    trainer.autoSave({ interval: 1, savePath: await engineOn(storage), ...options });
    return await trainer.train({ epochs, progress: false });
  });
  return { stepsByTag: await stepsIn(storage), report };
}

async function stepsIn(storage: Storage): Promise<Record<string, number | undefined>> {
  const engine = await engineOn(storage);
  const steps: Record<string, number | undefined> = {};
  for (const tag of (await engine.list()).sort()) {
    const checkpoint = await engine.load(tag);
    steps[tag] = checkpoint.step;
    await checkpoint.close();
  }
  return steps;
}

describe("a name that repeats", () => {
  gpuTest("because its values do gives -v2, -v3 and so on, and replaces none", async (gpu) => {
    const { stepsByTag, report } = await train(gpu, 3, { name: "loss-{val_loss:.0f}" });
    expect(stepsByTag).toEqual({ "loss-1": 7, "loss-1-v2": 14, "loss-1-v3": 21 });
    expect(report.saves.map(({ tag }) => tag)).toEqual(["loss-1", "loss-1-v2", "loss-1-v3"]);
  });

  gpuTest("in the middle of an epoch does so, too", async (gpu) => {
    const { stepsByTag } = await train(gpu, 1, { interval: 0, everySteps: 2, stepName: "e{epoch}" });
    expect(stepsByTag).toEqual({ e1: 2, "e1-v2": 4, "e1-v3": 6, "e1-v4": 7 });
  });

  gpuTest("never replaces the best, and is free again when `keep` let it go", async (gpu) => {
    const { stepsByTag } = await train(gpu, 4, {
      name: "loss-{val_loss:.0f}",
      keep: { last: 1, best: { metric: "val_loss", direction: "max" } },
    });
    expect(stepsByTag).toEqual({ "loss-1": 7, "loss-1-v2": 28 });
  });

  gpuTest("with overwrite never replaces the best either", async (gpu) => {
    const best = { metric: "val_loss", direction: "max" } as const;
    const { stepsByTag } = await train(gpu, 3, { name: "current", overwrite: true, keep: { best } });
    expect(stepsByTag).toEqual({ current: 7, "current-v2": 21 });
  });

  gpuTest(
    "without fields is one checkpoint, but for the best and the last that `keep` asks for",
    async (gpu) => {
      const best = { metric: "val_loss", direction: "max" } as const;
      expect((await train(gpu, 3, { name: "current" })).stepsByTag).toEqual({ current: 21 });
      expect((await train(gpu, 3, { name: "current", keep: { best } })).stepsByTag).toEqual({
        current: 7,
        "current-v2": 21,
      });
      expect((await train(gpu, 5, { name: "current", keep: { last: 2 } })).stepsByTag).toEqual({
        current: 35,
        "current-v2": 28,
      });
    },
  );

  gpuTest("replaces the one before only once the new one is durable", async (gpu) => {
    for (const overwrite of [true, false]) {
      let fails = false;
      const storage = new MemoryStorage();
      const failing = new HookedStorage(storage, {
        before: ({ op }) => {
          if (op === "sync" && fails) throw new CairnError("storage_failed", "the disk is on fire");
        },
      });
      await withTrainer(gpu, smallRun(), async ({ trainer }) => {
        trainer.autoSave({ interval: 1, savePath: await engineOn(failing), name: "current", overwrite });
        let saves = 0;
        const report = await trainer.train({
          epochs: 2,
          progress: false,
          onSave: () => void saves++,
          onEpoch: async ({ epoch }) => {
            if (epoch < 2) return;
            // The save before may still be under way.
            await until(() => saves === 1);
            fails = true;
          },
        });
        expect([report.saves.length, report.exitCode]).toEqual([1, 1]);
      });
      expect(await stepsIn(storage)).toEqual({ current: 7 });
    }
  });

  gpuTest("of a run that went back does not replace what the run had gone on to", async (gpu) => {
    const storage = new MemoryStorage();
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
      await trainer.train({ epochs: 2, progress: false });
      await trainer.load("model_epoch01");
      await trainer.train({ epochs: 2, progress: false });
    });
    expect(await stepsIn(storage)).toEqual({ model_epoch01: 7, model_epoch02: 14, "model_epoch02-v2": 14 });
  });

  gpuTest("never replaces what somebody saved under that very name", async (gpu) => {
    const storage = new MemoryStorage();
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage), name: "current" });
      await trainer.save("current");
      await trainer.train({ epochs: 2, progress: false });
    });
    expect(await stepsIn(storage)).toEqual({ current: 0, "current-v2": 14 });
  });
});
