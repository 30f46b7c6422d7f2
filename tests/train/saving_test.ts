import { describe, expect } from "bun:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import type { Engine } from "../../src/checkpoint/engine.ts";
import { linear } from "../../src/nn/nn.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import type { Storage } from "../../src/storage/storage.ts";
import type { AutoSaveOptions } from "../../src/train/auto_saver.ts";
import type { TrainReport } from "../../src/train/train_loop.ts";
import { FaultStorage } from "../helpers/fault_storage.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { blobs, CLASSES, engineOn, FEATURES, type Fixture, smallRun, withTrainer } from "./fixtures.ts";

const VALIDATION = { validation: blobs(20, { batchSize: 8 }) };

async function tagsIn(storage: Storage): Promise<string[]> {
  return (await (await engineOn(storage)).list()).sort();
}

function tagsOf(report: TrainReport): string[] {
  return report.saves.map(({ tag }) => tag);
}

/** An engine whose commits wait until they are let go. */
function slowEngine(engine: Engine, turn: () => Promise<void>): Engine {
  return new Proxy(engine, {
    get(target, key) {
      if (key === "commit") {
        return async (...args: Parameters<Engine["commit"]>) => {
          await turn();
          return await target.commit(...args);
        };
      }
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

describe("automatic saving", () => {
  gpuTest("NN-06 saves every interval epochs and after the last", async (gpu) => {
    const cases: [AutoSaveOptions, string[]][] = [
      [{ interval: 2 }, ["model_epoch02", "model_epoch04", "model_epoch05"]],
      [{ interval: 2, saveOnLastEpoch: false }, ["model_epoch02", "model_epoch04"]],
      [{ interval: -1 }, ["model_epoch05"]],
      [{ interval: 0 }, []],
      [{ interval: 1, savePath: null }, []],
    ];
    for (const [options, tags] of cases) {
      const storage = new MemoryStorage();
      await withTrainer(gpu, smallRun(), async ({ trainer }) => {
        trainer.autoSave({ savePath: await engineOn(storage), ...options });
        const report = await trainer.train({ epochs: 5, progress: false });
        expect(tagsOf(report)).toEqual(tags);
        expect(report.failedSaves).toEqual([]);
      });
      expect(await tagsIn(storage)).toEqual(tags);
    }
  });

  gpuTest("NN-07 names have the metrics of the epoch, and na with one warning where there are none", async (gpu) => {
    await withTrainer(gpu, smallRun(VALIDATION), async ({ trainer }) => {
      const warnings: string[] = [];
      trainer.autoSave({
        interval: 1,
        everySteps: 3,
        savePath: await engineOn(),
        name: "digits-{epoch:02d}-{val_loss:.4f}",
        stepName: "s{step}-{val_loss:.4f}",
      });
      const report = await trainer.train({ epochs: 2, progress: false, onWarning: (text) => warnings.push(text) });
      const [first, second] = trainer.history.epochs.map(({ metrics }) => metrics.val_loss?.toFixed(4));
      expect(tagsOf(report)).toEqual([
        "s3-na",
        "s6-na",
        `digits-01-${first}`,
        "s9-na",
        "s12-na",
        `digits-02-${second}`,
      ]);
      const missing = warnings.filter((text) => !text.includes("waits until"));
      expect(missing).toEqual(['The name of a checkpoint has "na" for "val_loss", which is not measured at that moment']);
    });
  });

  gpuTest("NN-07 a field that the run never has is refused when it is configured", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const error = await thrownBy(() => trainer.autoSave({ interval: 1, name: "m-{val_loss:.4f}" }));
      expect(error.code).toBe("unknown_field");
      expect(error.message).toContain("known fields are epoch, step, loss");
      expect(trainer.autoSaver).toBe(undefined);
    });
    await withTrainer(gpu, smallRun(VALIDATION), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, name: "m-{epoch}-{loss}-{val_loss:.4f}-{val_accuracy:.2f}" });
      expect((await thrownBy(() => trainer.autoSave({ name: "m{val_f1}" }))).message).toContain("val_accuracy");
    });
  });

  gpuTest("NN-08 with overwrite the one before goes once the new one is durable, after a resume too", async (gpu) => {
    const storage = new MemoryStorage();
    const options = async (): Promise<AutoSaveOptions> => ({
      interval: 1,
      overwrite: true,
      savePath: await engineOn(storage),
    });
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave(await options());
      await trainer.train({ epochs: 2, progress: false, onSave: () => expect(true).toBe(true) });
    });
    expect(await tagsIn(storage)).toEqual(["model_epoch02"]);
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave(await options());
      expect((await trainer.resume()).resumedFrom).toBe("model_epoch02");
      await trainer.train({ epochs: 3, progress: false });
    });
    expect(await tagsIn(storage)).toEqual(["model_epoch03"]);
  });

  gpuTest("NN-10 the saver's state is in the checkpoint", async (gpu) => {
    const storage = new MemoryStorage();
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
      await trainer.train({ epochs: 2, progress: false });
    });
    const checkpoint = await (await engineOn(storage)).load("model_epoch02");
    const { autoSaver } = await checkpoint.state() as { autoSaver: Record<string, unknown> };
    await checkpoint.close();
    expect(autoSaver.interval).toBe(1);
    expect(autoSaver.lastSavedTag).toBe("model_epoch01");
  });

  gpuTest("TW-17 saves every so many steps, never right after a restore", async (gpu) => {
    const storage = new MemoryStorage();
    const run = async (epochs: number, everySteps: number): Promise<TrainReport> =>
      await withTrainer(gpu, smallRun(), async ({ trainer }) => {
        trainer.autoSave({ everySteps, savePath: await engineOn(storage) });
        await trainer.resume();
        return await trainer.train({ epochs, progress: false });
      });
    expect((await run(2, 7)).saves.map(({ step }) => step)).toEqual([7, 14]);
    // Step 14 is a multiple of 2 and 7, and was restored: the next ones are 16, 18 and so on.
    expect((await run(3, 2)).saves.map(({ step }) => step)).toEqual([16, 18, 20, 21]);
  });

  gpuTest("TW-18 a save that comes while another is under way waits for it, with a warning", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      let underWay = 0;
      let most = 0;
      const engine = slowEngine(await engineOn(), async () => {
        underWay += 1;
        most = Math.max(most, underWay);
        await new Promise((resolve) => setTimeout(resolve, 30));
        underWay -= 1;
      });
      trainer.autoSave({ everySteps: 1, savePath: engine });
      const report = await trainer.train({ epochs: 1, progress: false });
      expect(report.saves.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7]);
      expect(most).toBe(1);
      expect(report.warnings[0]).toContain(
        'Checkpoint "step-00000002" waits until "step-00000001" is saved',
      );
      // The first had nobody to wait for; each later one stood still for the one before.
      expect(Math.max(...report.saves.slice(1).map(({ stallMs }) => stallMs))).toBeGreaterThan(10);
    });
  });

  gpuTest("TW-18 training goes on while a save is under way", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      let letGo = (): void => {};
      const gate = new Promise<void>((resolve) => letGo = resolve);
      trainer.autoSave({ everySteps: 4, savePath: slowEngine(await engineOn(), () => gate) });
      const saved: number[] = [];
      await trainer.train({
        epochs: 1,
        progress: false,
        onStep: ({ step }) => step === 7 ? letGo() : expect(saved).toEqual([]),
        onSave: ({ step }) => void saved.push(step),
      });
      expect(saved).toEqual([4, 7]);
    });
  });

  gpuTest("TW-19 the last step is saved and durable when train resolves", async (gpu) => {
    const storage = new MemoryStorage();
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const engine = slowEngine(await engineOn(storage), () => new Promise((resolve) => setTimeout(resolve, 20)));
      trainer.autoSave({ everySteps: 5, savePath: engine });
      const report = await trainer.train({ epochs: 1, progress: false });
      expect(report.saves.map(({ step }) => step)).toEqual([5, 7]);
      expect(await tagsIn(storage)).toEqual(["step-00000005", "step-00000007"]);
    });
  });

  gpuTest("TW-19 a last step that is a multiple is saved once", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, everySteps: 7, savePath: await engineOn() });
      expect(tagsOf(await trainer.train({ epochs: 2, progress: false }))).toEqual(["model_epoch01", "model_epoch02"]);
    });
  });

  gpuTest("TW-19 an abort waits for the save under way", async (gpu) => {
    const storage = new MemoryStorage();
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const engine = slowEngine(await engineOn(storage), () => new Promise((resolve) => setTimeout(resolve, 30)));
      trainer.autoSave({ everySteps: 3, savePath: engine });
      const controller = new AbortController();
      const onStep = ({ step }: { step: number }) => step === 4 ? controller.abort() : undefined;
      await thrownBy(() => trainer.train({ epochs: 1, progress: false, signal: controller.signal, onStep }));
      expect(await tagsIn(storage)).toEqual(["step-00000003"]);
    });
  });

  gpuTest("keeps the last ones and the best, and deletes only after the new one is durable", async (gpu) => {
    const storage = new MemoryStorage();
    await withTrainer(gpu, smallRun(VALIDATION), async ({ trainer }) => {
      trainer.autoSave({
        interval: 1,
        savePath: await engineOn(storage),
        name: "e{epoch}",
        keep: { last: 2, best: { metric: "val_loss", direction: "max" } },
      });
      await trainer.train({ epochs: 5, progress: false });
      const losses = trainer.history.epochs.map(({ metrics }) => metrics.val_loss ?? NaN);
      const worst = 1 + losses.indexOf(Math.max(...losses));
      expect(await tagsIn(storage)).toEqual([...new Set([`e${worst}`, "e4", "e5"])].sort());
    });
  });

  gpuTest("a save in the middle of an epoch is never the best: its weights were not measured", async (gpu) => {
    const storage = new MemoryStorage();
    await withTrainer(gpu, smallRun(VALIDATION), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, everySteps: 5, savePath: await engineOn(storage) });
      await trainer.train({ epochs: 1, progress: false });
    });
    const engine = await engineOn(storage);
    const metricsOf = async (tag: string) => {
      const checkpoint = await engine.load(tag);
      await checkpoint.close();
      return Object.keys(checkpoint.metrics).sort();
    };
    expect(await metricsOf("step-00000005")).toEqual([]);
    expect(await metricsOf("model_epoch01")).toEqual(["loss", "val_accuracy", "val_loss"]);
  });

  gpuTest("a fresh run beside the checkpoints of another replaces none of them", async (gpu) => {
    const storage = new MemoryStorage();
    for (const seed of [1, 2, 3]) {
      await withTrainer(gpu, smallRun({ seed }), async ({ trainer }) => {
        trainer.autoSave({ interval: 1, savePath: await engineOn(storage), keep: { last: 1 } });
        await trainer.train({ epochs: 1, progress: false });
      });
    }
    expect(await tagsIn(storage)).toEqual(["model_epoch01", "model_epoch01-v2", "model_epoch01-v3"]);
  });

  gpuTest("a name without fields is one checkpoint that is replaced", async (gpu) => {
    const storage = new MemoryStorage();
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage), name: "current" });
      const report = await trainer.train({ epochs: 3, progress: false });
      expect(report.failedSaves).toEqual([]);
    });
    expect(await tagsIn(storage)).toEqual(["current"]);
    const checkpoint = await (await engineOn(storage)).load("current");
    expect(checkpoint.provenance.step).toBe(21);
    await checkpoint.close();
  });
});

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
      expect(report.failedSaves.map(({ tag, step, error }) => [tag, step, (error as { code?: string }).code])).toEqual([
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

  gpuTest("a directory that cannot be written is a warning for each save, and an error for save()", async (gpu) => {
    const directory = await mkdtemp(join(tmpdir(), "cairn-saving-"));
    const { writeFile } = await import("node:fs/promises");
    await writeFile(join(directory, "file"), "in the way");
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: join(directory, "elsewhere") });
      expect((await trainer.train({ epochs: 1, progress: false })).failedSaves).toEqual([]);
      const error = await thrownBy(() => trainer.save(join(directory, "file", "deeper", "x")));
      expect(error.name).toBe("CairnError");
    });
    expect(await readdir(join(directory, "elsewhere"))).toContain("model_epoch01.cairn");
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
      expect((await readdir(join(directory, "else"))).filter((name) => name.endsWith(".cairn")).sort()).toEqual([
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
