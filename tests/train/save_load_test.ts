import { describe, expect } from "bun:test";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { linear } from "../../src/nn/nn.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import type { Storage } from "../../src/storage/storage.ts";
import type { TrainReport } from "../../src/train/train_loop.ts";
import { FaultStorage } from "../helpers/fault_storage.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { CLASSES, engineOn, FEATURES, type Fixture, smallRun, withTrainer } from "./fixtures.ts";

async function tagsIn(storage: Storage): Promise<string[]> {
  return (await (await engineOn(storage)).list()).sort();
}

function tagsOf(report: TrainReport): string[] {
  return report.saves.map(({ tag }) => tag);
}

describe("failed saves", () => {
  gpuTest("stop no training, are counted, and leave the older checkpoints as they are", async (gpu) => {
    const faults = new FaultStorage(new MemoryStorage());
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(faults) });
      const warnings: string[] = [];
      const report = await trainer.train({
        epochs: 4,
        progress: false,
        onWarning: (text) => warnings.push(text),
        onEpoch: ({ epoch }) => {
          if (epoch === 2) faults.failAt(faults.operations.length + 3, "ENOSPC", { onward: true });
          if (epoch === 4) faults.heal();
        },
      });
      expect(report.steps).toBe(28);
      expect(tagsOf(report)).toEqual(["model_epoch01", "model_epoch04"]);
      expect(report.failedSaves.map(({ tag, step, error }) => [tag, step, (error as { code?: string }).code]))
        .toEqual([
          ["model_epoch02", 14, "disk_full"],
          ["model_epoch03", 21, "disk_full"],
        ]);
      expect(report.warnings).toEqual(warnings);
      expect(warnings[0]).toContain('Checkpoint "model_epoch02" could not be saved: ');
    });
    expect(await tagsIn(faults.inner)).toEqual(["model_epoch01", "model_epoch04"]);
  });

  gpuTest("at the very end are tried once more", async (gpu) => {
    const faults = new FaultStorage(new MemoryStorage());
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(faults) });
      const report = await trainer.train({
        epochs: 1,
        progress: false,
        onEpoch: () => faults.failAt(faults.operations.length + 4, "EIO"),
      });
      expect(report.failedSaves).toHaveLength(1);
      expect(tagsOf(report)).toEqual(["model_epoch01"]);
    });
  });

  gpuTest("reject where save was called, and the next save works", async (gpu) => {
    const faults = new FaultStorage(new MemoryStorage());
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ savePath: await engineOn(faults) });
      faults.failAt(faults.operations.length + 4, "EIO");
      expect((await thrownBy(() => trainer.save("first"))).code).toBe("storage_failed");
      expect((await trainer.save("second")).tag).toBe("second");
      expect(await tagsIn(faults.inner)).toEqual(["second"]);
    });
  });

  gpuTest("a directory that cannot be one is told before anything is trained", async (gpu) => {
    const directory = await mkdtemp(join(tmpdir(), "cairn-saving-"));
    const file = join(directory, "file");
    await writeFile(file, "in the way");
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      for (const savePath of [file, join(file, "deeper")]) {
        trainer.autoSave({ interval: 1, savePath });
        const error = await thrownBy(() => trainer.train({ epochs: 1, progress: false }));
        expect(error.name).toBe("CairnError");
        expect(error.message).toContain(file);
        expect(trainer.step).toBe(0);
        expect((await thrownBy(() => trainer.save("x"))).name).toBe("CairnError");
        expect((await thrownBy(() => trainer.save(join(file, "deeper", "x")))).name).toBe("CairnError");
      }
      trainer.autoSave({ savePath: join(directory, "runs") });
      expect((await trainer.train({ epochs: 1, progress: false })).saves).toHaveLength(1);
    });
    expect(await readFile(file, "utf8")).toBe("in the way");
    expect(await readdir(join(directory, "runs"))).toContain("model_epoch01.cairn");
    await rm(directory, { recursive: true });
  });
});

describe("save and load", () => {
  gpuTest("by tag, by path and by URL; an existing one only with overwrite", async (gpu) => {
    const directory = await mkdtemp(join(tmpdir(), "cairn-saving-"));
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ savePath: join(directory, "runs") });
      expect((await trainer.save("tagged")).path).toBe(join(directory, "runs", "tagged.cairn"));
      await trainer.save(join(directory, "else", "by-path.cairn"));
      await trainer.save(pathToFileURL(join(directory, "else", "by-url")));
      expect((await readdir(join(directory, "else"))).filter((name) => name.endsWith(".cairn")).sort())
        .toEqual([
          "by-path.cairn",
          "by-url.cairn",
        ]);
      expect((await thrownBy(() => trainer.save("tagged"))).code).toBe("already_exists");
      await trainer.save("tagged", { overwrite: true });
      expect((await thrownBy(() => trainer.save("not a tag"))).code).toBe("invalid_tag");
    });
    await rm(directory, { recursive: true });
  });

  gpuTest("load gives everything back, and names what is not there", async (gpu) => {
    const storage = new MemoryStorage();
    const saved = await withTrainer(gpu, smallRun(), async ({ trainer, tensors }: Fixture) => {
      trainer.autoSave({ savePath: await engineOn(storage) });
      await trainer.train({ epochs: 1, progress: false });
      await trainer.save("seven");
      const now = await tensors();
      await trainer.train({ epochs: 2, progress: false });
      expect(await tensors()).not.toEqual(now);
      const report = await trainer.load("seven");
      expect(report.missing).toEqual([]);
      expect(trainer.step).toBe(7);
      expect(trainer.history.loss).toHaveLength(7);
      expect(await tensors()).toEqual(now);
      return now;
    });
    await withTrainer(gpu, smallRun(), async ({ trainer, tensors }) => {
      trainer.autoSave({ savePath: await engineOn(storage) });
      await trainer.load("seven");
      expect(await tensors()).toEqual(saved);
      expect((await thrownBy(() => trainer.load("eight"))).code).toBe("not_found");
    });
  });

  gpuTest("load with strict: false takes what fits and reports the rest", async (gpu) => {
    const storage = new MemoryStorage();
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ savePath: await engineOn(storage) });
      await trainer.train({ epochs: 1, progress: false });
      await trainer.save("seven");
    });
    await withTrainer(gpu, smallRun({ model: linear(FEATURES, CLASSES) }), async ({ trainer }) => {
      trainer.autoSave({ savePath: await engineOn(storage) });
      const report = await trainer.load("seven", { strict: false });
      expect(report.loaded).toEqual([]);
      expect(report.missing).toContain("model.weight");
      expect(report.unexpected).toContain("model.0.weight");
      expect(trainer.step).toBe(0);
    });
  });
});

describe("signals", () => {
  const emitter = process as { emit(event: string): boolean };
  gpuTest("the first one saves and leaves, and the run goes on from there", async (gpu) => {
    const storage = new MemoryStorage();
    const before = process.listenerCount("SIGINT");
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
      const report = await trainer.train({
        epochs: 5,
        progress: false,
        handleSignals: true,
        onStep: ({ step }) => step === 9 ? void emitter.emit("SIGINT") : undefined,
      });
      expect(report.endedBy).toBe("SIGINT");
      expect(report.steps).toBe(9);
      expect(tagsOf(report)).toEqual(["model_epoch01", "step-00000009"]);
    });
    expect(process.listenerCount("SIGINT")).toBe(before);
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
      expect((await trainer.resume()).step).toBe(9);
    });
  });

  gpuTest("are not listened to unless asked", async (gpu) => {
    const before = process.listenerCount("SIGTERM");
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      await trainer.train({
        epochs: 1,
        progress: false,
        onStep: () => expect(process.listenerCount("SIGTERM")).toBe(before),
      });
    });
  });
});
