import { describe, expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { openStorage } from "../../../src/storage/open_storage.ts";
import { AutoSaver } from "../../../src/train/saves/auto_saver.ts";
import { RunDirectory } from "../../../src/train/saves/run_directory.ts";
import type { TrainReport } from "../../../src/train/train_options.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { engineOn, smallRun, withTrainer } from "../fixtures.ts";
import { inFolder } from "../../helpers/in_folder.ts";

const lastSave = ({ saves }: TrainReport) => saves.at(-1);

describe("two runs in one directory", () => {
  gpuTest(
    "at the same time: each loses no more than one save, with already_exists, and says so",
    async (gpu) => {
      await inFolder(async (directory) => {
        const reports = await withTrainer(
          gpu,
          smallRun({ seed: 1 }),
          (a) =>
            withTrainer(gpu, smallRun({ seed: 2 }), async (b) => {
              return await Promise.all([a, b].map(async ({ trainer }) => {
                trainer.autoSave({ everySteps: 2, savePath: directory, keep: { last: 2 } });
                return await trainer.train({ epochs: 3, progress: false });
              }));
            }),
        );
        const endings = reports.map((report) => /-[0-9a-f]{8}$/.exec(lastSave(report)?.tag ?? "")?.[0] ?? "");
        // One of them, or both, had to give way, and then their names cannot meet again.
        expect(new Set(endings).size).toBe(2);
        for (const { failedSaves, saves, warnings } of reports) {
          expect(failedSaves.length).toBeLessThanOrEqual(1);
          expect(failedSaves.map(({ error }) => (error as { code?: string }).code)).toEqual(
            failedSaves.map(() => "already_exists"),
          );
          expect(
            warnings.filter((text) => text.startsWith("Another run saves into the same directory")).length,
          )
            .toBe(failedSaves.length);
          expect(saves.at(-1)?.step).toBe(21);
        }
        const files = (await readdir(directory)).filter((name) => name.endsWith(".cairn"));
        expect(files.filter((name) => name.startsWith("step-00000021"))).toHaveLength(2);
        expect(files).toHaveLength(4);
      });
    },
  );

  gpuTest("exclusive: the second does not begin to train, and may when the first is closed", async (gpu) => {
    await inFolder(async (directory) => {
      await withTrainer(gpu, smallRun({ seed: 2 }), async ({ trainer: second }) => {
        second.autoSave({ everySteps: 5, savePath: directory, exclusive: true });
        await withTrainer(gpu, smallRun({ seed: 1 }), async ({ trainer: first }) => {
          first.autoSave({ everySteps: 5, savePath: directory, exclusive: true });
          let during: unknown;
          await first.train({
            epochs: 1,
            progress: false,
            onStep: async ({ step }) => {
              if (step === 3) during = await thrownBy(() => second.train({ epochs: 1, progress: false }));
            },
          });
          expect((during as { code?: string }).code).toBe("locked");
          expect((during as Error).message).toContain("which still runs");
          expect(second.step).toBe(0);
        });
        expect((await second.train({ epochs: 1, progress: false })).failedSaves).toEqual([]);
      });
      expect((await readdir(directory)).filter((name) => name.startsWith(".lock"))).toEqual([]);
    });
  });

  gpuTest("exclusive may be set later, and the run stays the same", async (gpu) => {
    await inFolder(async (directory) => {
      await withTrainer(gpu, smallRun(), async ({ trainer }) => {
        trainer.autoSave({ interval: 1, savePath: directory });
        await trainer.train({ epochs: 1, progress: false });
        trainer.autoSave({ exclusive: true });
        await trainer.train({ epochs: 2, progress: false });
        expect((await readdir(directory)).filter((name) => name.startsWith(".lock"))).toHaveLength(1);
        trainer.autoSave({ exclusive: false, keep: { last: 1 } });
        await trainer.train({ epochs: 3, progress: false });
      });
      // Retention deletes only what the same run has written.
      expect((await readdir(directory)).sort()).toEqual(["latest", "model_epoch03.cairn"]);
    });
  });
});

describe("another directory", () => {
  gpuTest("is another run, also when it is set twice", async (gpu) => {
    await inFolder(async (directory) => {
      const runIdsOf = async (name: string): Promise<(string | undefined)[]> => {
        const engine = await FileEngine.open(join(directory, name));
        const checkpoints = await Promise.all((await engine.list()).map((tag) => engine.load(tag)));
        await Promise.all(checkpoints.map((checkpoint) => checkpoint.close()));
        return checkpoints.map(({ provenance }) => provenance.runId);
      };
      await withTrainer(gpu, smallRun(), async ({ trainer }) => {
        trainer.autoSave({ interval: 1, savePath: join(directory, "a") });
        await trainer.train({ epochs: 1, progress: false });
        trainer.autoSave({ onDiskFull: "evictOldest" });
        trainer.autoSave({ savePath: join(directory, "b") });
        await trainer.train({ epochs: 2, progress: false });
      });
      expect(new Set([...await runIdsOf("a"), ...await runIdsOf("b")]).size).toBe(2);
    });
  });
});

describe("settings of the directory", () => {
  test("are checked, and refused for an engine, which has its own", async () => {
    expect(new AutoSaver().settings.exclusive).toBe(false);
    expect(new AutoSaver().settings.onDiskFull).toBe("error");
    expect(() => new AutoSaver({ exclusive: "yes" as unknown as boolean })).toThrow(
      "exclusive is true, false or { isOwnerDead }, found string",
    );
    expect(() => new AutoSaver({ onDiskFull: "wait" as "pause" })).toThrow(
      'onDiskFull is "error", "pause" or "evictOldest", found "wait"',
    );
    const savePath = await engineOn();
    expect(() => new AutoSaver({ savePath, exclusive: true })).toThrow(
      "exclusive is a setting for a directory",
    );
    expect(() => new AutoSaver({ savePath, onDiskFull: "pause" })).toThrow("give it to FileEngine.open()");
    expect(new AutoSaver({ savePath, onDiskFull: "error" }).settings.savePath).toBe(savePath);
    expect(Object.keys(new AutoSaver({ exclusive: true }).stateDict())).not.toContain("exclusive");
  });

  test("evictOldest never takes the newest, nor the best", async () => {
    const storage = await openStorage("memory:evict-best");
    const disk = { freeBytes: 1e9 };
    storage.freeBytes = () => Promise.resolve(disk.freeBytes);
    const runDirectory = await RunDirectory.open("memory:evict-best", {
      onDiskFull: "evictOldest",
      best: () => ({ metric: "val_loss", direction: "min" }),
    });
    const save = async (step: number, loss: number): Promise<void> => {
      const pending = await runDirectory.saver.save({
        state: { step },
        metrics: { val_loss: loss },
        provenance: { step },
      }, step);
      await pending.wait();
    };
    await save(1, 0.1);
    await save(2, 0.5);
    await save(3, 0.4);
    disk.freeBytes = 0;
    const error = await thrownBy(() => save(4, 0.3));
    expect(error.code).toBe("disk_full");
    expect(error.message).toContain("after 2 had been deleted");
    expect((await runDirectory.engine.list()).sort()).toEqual(["1", "3"]);
    await runDirectory.close();
  });

  test("closing gives the lock back", async () => {
    await inFolder(async (directory) => {
      const first = await RunDirectory.open(directory, { exclusive: true });
      await first.survey();
      const second = await RunDirectory.open(directory, { exclusive: true });
      expect((await thrownBy(() => second.survey())).code).toBe("locked");
      await first.close();
      await second.survey();
      await second.close();
      const { storage } = await FileEngine.open(directory);
      expect(await storage.list("")).toEqual([]);
    });
  });
});
