import { describe, expect } from "bun:test";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { dropout, linear, relu, sequential } from "../../src/nn/nn.ts";
import { adamw, sgd } from "../../src/nn/optim/optim.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import type { Storage } from "../../src/storage/storage.ts";
import type { TrainReport } from "../../src/train/train_options.ts";
import { CairnError } from "../../src/base/errors.ts";
import { nextTurn } from "../../src/base/event_loop.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { DataLoader } from "../../src/data/data_loader.ts";
import { Trainer } from "../../src/train/trainer.ts";
import type { BatchSource } from "../../src/data/batch_source.ts";
import { HookedStorage } from "../helpers/hooked_storage.ts";
import { FaultStorage } from "../helpers/fault_storage.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import {
  BATCH,
  blobs,
  CLASSES,
  engineOn,
  FEATURES,
  type Fixture,
  HIDDEN,
  smallRun,
  withTrainer,
} from "./fixtures.ts";
import { until } from "../helpers/turns.ts";

async function tagsIn(storage: Storage): Promise<string[]> {
  return (await (await engineOn(storage)).list()).sort();
}

function tagsOf(report: TrainReport): string[] {
  return report.saves.map(({ tag }) => tag);
}

/** A storage on which the first file cannot be made durable. */
function failingOnce(storage: Storage): Storage {
  let hasFailed = false;
  return new HookedStorage(storage, {
    before: ({ op }) => {
      if (op !== "sync" || hasFailed) return;
      hasFailed = true;
      throw new CairnError("storage_failed", "the disk is on fire");
    },
  });
}

describe("failed saves", () => {
  gpuTest(
    "do not stop the training, are counted, and leave the older checkpoints as they are",
    async (gpu) => {
      const faults = new FaultStorage(new MemoryStorage());
      await withTrainer(gpu, smallRun(), async ({ trainer }) => {
        trainer.autoSave({ interval: 1, savePath: await engineOn(faults) });
        const warnings: string[] = [];
        let saves = 0;
        const report = await trainer.train({
          epochs: 4,
          progress: false,
          onWarning: (text) => warnings.push(text),
          onSave: () => void saves++,
          // Each waits for the saves before it, which may still be under way.
          onEpoch: async ({ epoch }) => {
            if (epoch === 2) {
              await until(() => saves === 1);
              faults.failAt(faults.operations.length + 3, "ENOSPC", { onward: true });
            }
            if (epoch === 4) {
              await until(() => warnings.length === 2);
              faults.heal();
            }
          },
        });
        expect(report.steps).toBe(28);
        expect(tagsOf(report)).toEqual(["model_epoch01", "model_epoch04"]);
        expect(
          report.failedSaves.map(({ tag, step, error }) => [tag, step, (error as { code?: string }).code]),
        )
          .toEqual([
            ["model_epoch02", 14, "disk_full"],
            ["model_epoch03", 21, "disk_full"],
          ]);
        expect(report.warnings).toEqual(warnings);
        expect(warnings[0]).toContain('Checkpoint "model_epoch02" could not be saved: ');
      });
      expect(await tagsIn(faults.inner)).toEqual(["model_epoch01", "model_epoch04"]);
    },
  );

  gpuTest("at the very end are tried once more", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(failingOnce(new MemoryStorage())) });
      const report = await trainer.train({ epochs: 1, progress: false });
      expect(report.failedSaves).toHaveLength(1);
      expect(tagsOf(report)).toEqual(["model_epoch01"]);
    });
  });

  gpuTest("reject where save was called, and the next save works", async (gpu) => {
    const storage = new MemoryStorage();
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ savePath: await engineOn(failingOnce(storage)) });
      expect((await thrownBy(() => trainer.save("first"))).code).toBe("storage_failed");
      expect((await trainer.save("second")).tag).toBe("second");
      expect(await tagsIn(storage)).toEqual(["second"]);
    });
  });

  gpuTest("an impossible directory is refused before anything is trained", async (gpu) => {
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

  gpuTest("several processes agree on a name before anything is written", async (gpu) => {
    const storage = new MemoryStorage();
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ savePath: await engineOn(storage) });
      const asked: string[] = [];
      const others = (digest: string): Promise<string[]> => {
        asked.push(digest);
        return Promise.resolve([digest, "0".repeat(40)]);
      };
      const save = (mode: "ignore" | "warn" | "fail") =>
        trainer.save(mode, { tagAgreement: { mode, gather: others } });
      const error = await thrownBy(() => save("fail"));
      expect([error.code, error.message]).toEqual(["invalid_tag", expect.stringContaining("1 of 2 differ")]);
      expect(await tagsIn(storage)).toEqual([]);
      expect((await save("warn")).warnings.map(({ code }) => code)).toEqual(["invalid_tag"]);
      expect((await save("ignore")).warnings).toEqual([]);
      const agreed = { gather: (digest: string) => Promise.resolve([digest, digest]) };
      expect((await trainer.save("agreed", { tagAgreement: agreed })).warnings).toEqual([]);
      expect(await tagsIn(storage)).toEqual(["agreed", "ignore", "warn"]);
      expect(asked).toHaveLength(2);
      expect(asked[0]).toMatch(/^[0-9a-f]{40}$/);
    });
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

describe("a part of a checkpoint", () => {
  gpuTest(
    "is loaded by only, exclude, rename, shape policy and cast, and the run stays where it is",
    async (gpu) => {
      const storage = new MemoryStorage();
      const saved = await withTrainer(gpu, smallRun(), async ({ trainer, tensors }) => {
        trainer.autoSave({ savePath: await engineOn(storage) });
        await trainer.train({ epochs: 1, progress: false });
        await trainer.save("seven");
        return await tensors();
      });
      await withTrainer(gpu, smallRun({ seed: 12 }), async ({ trainer, tensors }) => {
        trainer.autoSave({ savePath: await engineOn(storage) });
        await trainer.evaluate(blobs(8, { batchSize: BATCH }));
        const before = await tensors();
        const tried = await trainer.load("seven", { only: ["model.0.*"], dryRun: true });
        expect(tried.loaded).toEqual(["model.0.weight", "model.0.bias"]);
        expect(await tensors()).toEqual(before);
        const report = await trainer.load("seven", { only: ["model.0.*"], exclude: ["*.bias"] });
        expect(report.loaded).toEqual(["model.0.weight"]);
        expect(await tensors()).toEqual({ ...before, "model.0.weight": saved["model.0.weight"] ?? "" });
        const error = await thrownBy(() => trainer.load("seven", { only: ["model.wieght"] }));
        expect([error.code, error.message]).toEqual([
          "state_mismatch",
          expect.stringContaining("model.wieght"),
        ]);
        const renamed = await trainer.load("seven", {
          only: ["model.3.bias"],
          rename: [{ from: "optimizer.m.3.bias", to: "model.3.bias" }, {
            from: "model.3.bias",
            to: "model.x",
          }],
        });
        expect(renamed.renamed).toContainEqual({ from: "optimizer.m.3.bias", to: "model.3.bias" });
        expect((await tensors())["model.3.bias"]).toBe(saved["optimizer.m.3.bias"] ?? "");
        expect([trainer.step, trainer.history.length]).toEqual([0, 0]);
      });
      const wider = sequential(
        linear(FEATURES, HIDDEN + 1),
        relu(),
        dropout(0.25),
        linear(HIDDEN + 1, CLASSES),
      );
      await withTrainer(gpu, smallRun({ model: wider }), async ({ trainer }) => {
        trainer.autoSave({ savePath: await engineOn(storage) });
        expect((await thrownBy(() => trainer.load("seven", { only: ["model.*"] }))).code).toBe(
          "state_mismatch",
        );
        const report = await trainer.load("seven", { only: ["model.*"], shapePolicy: "pad" });
        expect(report.padded.map(({ name }) => name)).toContain("model.0.weight");
        expect((await trainer.load("seven", { dryRun: true })).mismatched.length).toBeGreaterThan(0);
        expect(trainer.step).toBe(0);
      });
    },
  );

  gpuTest("may be the whole of it, in a dry run first", async (gpu) => {
    const storage = new MemoryStorage();
    await withTrainer(gpu, smallRun(), async ({ trainer, tensors }) => {
      trainer.autoSave({ savePath: await engineOn(storage) });
      await trainer.train({ epochs: 1, progress: false });
      await trainer.save("seven");
      await trainer.train({ epochs: 2, progress: false });
      const before = await tensors();
      const report = await trainer.load("seven", { dryRun: true });
      expect([report.missing, report.unexpected, report.mismatched]).toEqual([[], [], []]);
      expect([await tensors(), trainer.step]).toEqual([before, 14]);
    });
  });
});

describe("what a caller got wrong", () => {
  gpuTest("resume() on another model advises what resume() has", async (gpu) => {
    const storage = new MemoryStorage();
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
      await trainer.train({ epochs: 1, progress: false });
    });
    await withTrainer(gpu, smallRun({ model: linear(FEATURES, CLASSES) }), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
      const { message } = await thrownBy(() => trainer.resume());
      expect(message).toContain("take the weights alone with warmStart()");
      expect(message).not.toContain("strict: false");
      expect((await thrownBy(() => trainer.load("model_epoch01"))).message).toContain("strict: false");
    });
  });

  gpuTest("options that are missing are named, with an example", async (gpu) => {
    const missing = undefined as unknown as never;
    // Adam has PyTorch's defaults for all of them.
    expect(adamw(missing).name).toBe("adamw");
    expect(() => sgd(missing)).toThrow("sgd() takes options like { learningRate: 0.1 }, found undefined");
    expect(() => DataLoader.from(missing, { batchSize: 8 })).toThrow("options like { inputs, labels }");
    expect(() => DataLoader.from({ inputs: missing, labels: missing }, missing)).toThrow("{ batchSize: 64 }");
    expect(() => new Trainer(missing, missing)).toThrow("A trainer takes options like { model, loss");
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const error = await thrownBy(() => trainer.train(missing));
      expect([error.name, error.message]).toEqual([
        "TypeError",
        "train() takes options like { epochs: 10 }, found undefined",
      ]);
      for (const wrong of [{ handleSignals: { graceMs: -1 } }, { onDeviceLost: "retry" as "error" }]) {
        const refused = await thrownBy(() => trainer.train({ epochs: 1, progress: false, ...wrong }));
        expect(refused.name).toBe("RangeError");
      }
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

  /** A training that gets a SIGTERM at step 9, and whose disk is slow from then on. */
  async function terminated(
    gpu: GpuDevice,
    graceMs: number,
    delayMs: number,
  ): Promise<{ report: TrainReport; names: string[]; step: number }> {
    const storage = new MemoryStorage();
    let isSlow = false;
    let isSaved = false;
    const slow = new HookedStorage(storage, {
      before: async ({ op }) => {
        if (isSlow && op === "sync") await new Promise((resolve) => setTimeout(resolve, delayMs));
      },
    });
    const report = await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(slow) });
      return await trainer.train({
        epochs: 5,
        progress: false,
        handleSignals: { graceMs },
        onSave: () => void (isSaved = true),
        onStep: async ({ step }) => {
          if (step !== 9) return;
          while (!isSaved) await nextTurn();
          isSlow = true;
          emitter.emit("SIGTERM");
        },
      });
    });
    const names = (await storage.list("")).map(({ name }) => name).sort();
    const step = await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
      return (await trainer.resume()).step;
    });
    return { report, names, step };
  }

  gpuTest("save within the grace time", async (gpu) => {
    const { report, names, step } = await terminated(gpu, 600_000, 20);
    expect([report.endedBy, report.exitCode, report.steps, step]).toEqual(["SIGTERM", 143, 9, 9]);
    expect(names).toEqual(["latest", "model_epoch01.cairn", "step-00000009.cairn"]);
  });

  gpuTest(
    "give up a save that is not durable when the grace time is over, and leave nothing of it",
    async (gpu) => {
      const { report, names, step } = await terminated(gpu, 20, 150);
      expect([report.endedBy, report.exitCode, report.steps, step]).toEqual(["SIGTERM", 1, 9, 7]);
      expect(report.failedSaves.map(({ tag, error }) => [tag, (error as Error).name])).toEqual([
        ["step-00000009", "TimeoutError"],
      ]);
      expect(names).toEqual(["latest", "model_epoch01.cairn"]);
    },
  );

  gpuTest("save nothing without a grace time", async (gpu) => {
    const { report, names, step } = await terminated(gpu, 0, 0);
    expect([report.endedBy, report.exitCode, report.steps, step]).toEqual(["SIGTERM", 1, 9, 7]);
    expect(names).toEqual(["latest", "model_epoch01.cairn"]);
  });

  gpuTest("stop an evaluation, and the run that goes on measures its epoch", async (gpu) => {
    const validation = blobs(20, { batchSize: BATCH });
    const storage = new MemoryStorage();
    const interrupting: BatchSource = {
      batchSize: validation.batchSize,
      exampleCount: validation.exampleCount,
      inputs: validation.inputs,
      labels: validation.labels,
      batchAt: (request) => {
        if (request.position === 1) emitter.emit("SIGINT");
        return validation.batchAt(request);
      },
    };
    const expected = await withTrainer(gpu, smallRun({ validation }), async ({ trainer }) => {
      await trainer.train({ epochs: 2, progress: false });
      return trainer.history.epochs;
    });
    await withTrainer(gpu, smallRun({ validation: interrupting }), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
      const report = await trainer.train({ epochs: 2, progress: false, handleSignals: true });
      expect([report.endedBy, report.exitCode, trainer.step]).toEqual(["SIGINT", 130, 7]);
      expect(tagsOf(report)).toEqual(["step-00000007"]);
      expect(trainer.history.epochs).toEqual([]);
    });
    await withTrainer(gpu, smallRun({ validation }), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
      expect((await trainer.resume()).step).toBe(7);
      await trainer.train({ epochs: 2, progress: false });
      expect(trainer.history.epochs).toEqual(expected);
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
