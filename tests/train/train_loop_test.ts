import { describe, expect } from "bun:test";
import { sub } from "../../src/graph/ops/arithmetic.ts";
import { crossEntropy } from "../../src/nn/losses/cross_entropy.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import type { TrainReport } from "../../src/train/train_options.ts";
import type { TrainerOptions } from "../../src/train/trainer.ts";
import { FaultStorage } from "../helpers/fault_storage.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { until } from "../helpers/turns.ts";
import { engineOn, type Fixture, smallRun, withTrainer } from "./fixtures.ts";

/** Trains two epochs of seven steps on a disk that `body` may break. */
async function onDisk<T>(
  gpu: Parameters<typeof withTrainer>[0],
  body: (fixture: Fixture, disk: FaultStorage) => Promise<T>,
  options: TrainerOptions = smallRun(),
): Promise<T> {
  const disk = new FaultStorage(new MemoryStorage());
  return await withTrainer(gpu, options, async (made) => {
    made.trainer.autoSave({ interval: 1, savePath: await engineOn(disk) });
    return await body(made, disk);
  });
}

describe("a run of which no save succeeded", () => {
  gpuTest("is trained to its end, and then ends with not_saved and the last save's error", async (gpu) => {
    await onDisk(gpu, async ({ trainer }, disk) => {
      const heard: string[] = [];
      const error = await thrownBy(() =>
        trainer.train({
          epochs: 2,
          progress: false,
          onEpoch: () => disk.failAt(0, "ENOSPC", { onward: true }),
          onWarning: (text) => void heard.push(text),
        })
      );
      expect([error.code, (error.cause as { code?: string }).code]).toEqual(["not_saved", "disk_full"]);
      expect(error.message).toContain("Training went to step 14, but no checkpoint of it could be saved");
      expect(error.message).toContain((error.cause as Error).message);
      expect(heard.length).toBeGreaterThanOrEqual(2);
      expect(trainer.step).toBe(14);
      disk.heal();
      expect((await trainer.save("by-hand")).tag).toBe("by-hand");
    });
  });

  gpuTest("says so after a call that went on from a checkpoint, too", async (gpu) => {
    await onDisk(gpu, async ({ trainer }, disk) => {
      expect((await trainer.train({ epochs: 1, progress: false })).exitCode).toBe(0);
      const onEpoch = () => disk.failAt(0, "EIO", { onward: true });
      const error = await thrownBy(() => trainer.train({ epochs: 2, progress: false, onEpoch }));
      expect([error.code, (error.details as { tag?: string }).tag]).toEqual(["not_saved", "model_epoch02"]);
    });
  });

  gpuTest("is no failure when nothing was to be saved", async (gpu) => {
    await onDisk(gpu, async ({ trainer }) => {
      trainer.autoSave({ interval: 5, saveOnLastEpoch: false });
      const report = await trainer.train({ epochs: 1, progress: false });
      expect([report.saves, report.failedSaves, report.exitCode]).toEqual([[], [], 0]);
      expect((await trainer.train({ epochs: 1, progress: false })).exitCode).toBe(0);
    });
  });
});

describe("the exit code of a run that came to its end", () => {
  const trained = (gpu: Parameters<typeof withTrainer>[0], failsAfter: number, heals: boolean) =>
    onDisk(gpu, async ({ trainer }, disk): Promise<TrainReport> => {
      let warnings = 0;
      return await trainer.train({
        epochs: 3,
        progress: false,
        onWarning: () => void warnings++,
        onStep: async ({ step }) => {
          // The save before has settled: what fails is the one that is meant.
          if (step !== failsAfter) return;
          await trainer.save(`settled-${step}`);
          disk.failAt(0, "EIO", { onward: true });
        },
        onEpoch: async ({ epoch }) => {
          if (!heals || epoch < 3) return;
          // The save that is meant to fail may still be under way.
          await until(() => warnings === 1);
          disk.heal();
        },
      });
    });

  gpuTest("is 1 when the last save failed, and 0 when only an earlier one did", async (gpu) => {
    const lastFailed = await trained(gpu, 20, false);
    expect([lastFailed.saves.at(-1)?.step, lastFailed.failedSaves.at(-1)?.step]).toEqual([14, 21]);
    expect(lastFailed.exitCode).toBe(1);
    const earlierFailed = await trained(gpu, 13, true);
    expect([earlierFailed.saves.at(-1)?.step, earlierFailed.failedSaves.map(({ step }) => step)]).toEqual([
      21,
      [14],
    ]);
    expect(earlierFailed.exitCode).toBe(0);
  });
});

describe("names that only values make wrong", () => {
  gpuTest("are mended, so that every save succeeds", async (gpu) => {
    const loss: TrainerOptions["loss"] = (output, labels) => sub(crossEntropy()(output, labels).value, 10);
    await onDisk(gpu, async ({ trainer }) => {
      const names = ["{loss:.3f}", `${"x".repeat(120)}-{epoch:020d}`, "com{epoch}"];
      const tags: string[] = [];
      for (const [index, name] of names.entries()) {
        trainer.autoSave({ name });
        const report = await trainer.train({ epochs: index + 1, progress: false });
        expect([report.failedSaves, report.saves.length]).toEqual([[], 1]);
        tags.push(report.saves[0]?.tag ?? "");
      }
      expect(tags).toEqual([
        expect.stringMatching(/^loss_-\d\.\d{3}$/),
        expect.stringMatching(/^x{119}-[0-9a-f]{8}$/),
        "epoch_com3",
      ]);
    }, smallRun({ loss }));
  });
});
