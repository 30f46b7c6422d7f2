import { describe, expect } from "bun:test";
import type { Engine } from "../../src/checkpoint/engine/engine.ts";
import { everyNSteps, explicitSteps } from "../../src/checkpoint/keep/retention/by_step.ts";
import { anyOf } from "../../src/checkpoint/keep/retention/combine.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import type { Storage } from "../../src/storage/storage.ts";
import type { AutoSaveOptions } from "../../src/train/saves/auto_save_options.ts";
import type { TrainReport } from "../../src/train/train_options.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { BATCH, blobs, engineOn, smallRun, withTrainer } from "./fixtures.ts";
import { letTurnsPass, until } from "../helpers/turns.ts";

const VALIDATION = { validation: blobs(20, { batchSize: BATCH }) };

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

  gpuTest(
    "NN-07 names have the metrics of the epoch, and na with one warning where there are none",
    async (gpu) => {
      await withTrainer(gpu, smallRun(VALIDATION), async ({ trainer }) => {
        const warnings: string[] = [];
        trainer.autoSave({
          interval: 1,
          everySteps: 3,
          savePath: await engineOn(),
          name: "digits-{epoch:02d}-{val_loss:.4f}",
          stepName: "s{step}-{val_loss:.4f}",
        });
        const report = await trainer.train({
          epochs: 2,
          progress: false,
          onWarning: (text) => warnings.push(text),
        });
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
        expect(missing).toEqual([
          'The name of a checkpoint has "na" for "val_loss", which is not measured at that moment',
        ]);
      });
    },
  );

  gpuTest("NN-07 a field that the run never has is refused when it is configured", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const error = await thrownBy(() => trainer.autoSave({ interval: 1, name: "m-{val_loss:.4f}" }));
      expect(error.code).toBe("unknown_field");
      expect(error.message).toContain("known fields are epoch, step, loss");
      expect(trainer.autoSaveSettings).toBe(undefined);
    });
    await withTrainer(gpu, smallRun(VALIDATION), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, name: "m-{epoch}-{loss}-{val_loss:.4f}-{val_accuracy:.2f}" });
      expect((await thrownBy(() => trainer.autoSave({ name: "m{val_f1}" }))).message).toContain(
        "val_accuracy",
      );
    });
  });

  gpuTest("NN-05 leniently, what is wrong is a warning and the rest is set", async (gpu) => {
    await withTrainer(gpu, smallRun(), ({ trainer }) => {
      const warnings: string[] = [];
      const onInvalid = (message: string): void => void warnings.push(message);
      trainer.autoSave({ interval: 2, savePath: 5 as unknown as string, name: "m{nothing}" }, onInvalid);
      expect(warnings).toHaveLength(2);
      expect(warnings[0]).toContain("savePath is a path");
      expect(warnings[1]).toContain('the field "nothing", which this run never has');
      expect(trainer.autoSaveSettings?.interval).toBe(2);
      expect(trainer.autoSaveSettings?.savePath).toBe(".");
      trainer.autoSave({ interval: 0 }, onInvalid);
      expect(warnings[2]).toBe("Automatic saving is disabled");
      return Promise.resolve();
    });
  });

  gpuTest(
    "NN-08 with overwrite the one before goes once the new one is durable, after a resume too",
    async (gpu) => {
      const storage = new MemoryStorage();
      const options = async (): Promise<AutoSaveOptions> => ({
        interval: 1,
        overwrite: true,
        savePath: await engineOn(storage),
      });
      await withTrainer(gpu, smallRun(), async ({ trainer }) => {
        trainer.autoSave(await options());
        await trainer.train({ epochs: 2, progress: false });
      });
      expect(await tagsIn(storage)).toEqual(["model_epoch02"]);
      await withTrainer(gpu, smallRun(), async ({ trainer }) => {
        trainer.autoSave(await options());
        expect((await trainer.resume()).resumedFrom).toBe("model_epoch02");
        await trainer.train({ epochs: 3, progress: false });
      });
      expect(await tagsIn(storage)).toEqual(["model_epoch03"]);
    },
  );

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
    let nowMs = 0;
    await withTrainer(gpu, smallRun({ now: () => nowMs }), async ({ trainer }) => {
      let underWay = 0;
      let most = 0;
      let commits = 0;
      let steps = 0;
      const engine = slowEngine(await engineOn(), async () => {
        underWay += 1;
        most = Math.max(most, underWay);
        const step = ++commits;
        // The next step is done, and its save was asked for.
        await until(() => steps > step || step === 7);
        await letTurnsPass();
        nowMs += 30;
        underWay -= 1;
      });
      trainer.autoSave({ everySteps: 1, savePath: engine });
      const report = await trainer.train({
        epochs: 1,
        progress: false,
        onStep: ({ step }) => void (steps = step),
      });
      expect(report.saves.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7]);
      expect(most).toBe(1);
      expect(report.warnings).toEqual([
        'Checkpoint "step-00000002" waits until "step-00000001" is saved, and training waits too; ' +
        "save less often or to a faster disk",
      ]);
      // The first had nothing to wait for. Each later one waited for the one before.
      const stalls = report.saves.map(({ stallMs }) => stallMs);
      // That of the last step comes after the epoch was measured, and may find the one before done.
      expect(stalls.slice(0, -1)).toEqual([0, 30, 30, 30, 30, 30]);
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
      const engine = slowEngine(
        await engineOn(storage),
        () => new Promise((resolve) => setTimeout(resolve, 20)),
      );
      trainer.autoSave({ everySteps: 5, savePath: engine });
      const report = await trainer.train({ epochs: 1, progress: false });
      expect(report.saves.map(({ step }) => step)).toEqual([5, 7]);
      expect(await tagsIn(storage)).toEqual(["step-00000005", "step-00000007"]);
    });
  });

  gpuTest("TW-19 a last step that is a multiple is saved once", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, everySteps: 7, savePath: await engineOn() });
      expect(tagsOf(await trainer.train({ epochs: 2, progress: false }))).toEqual([
        "model_epoch01",
        "model_epoch02",
      ]);
    });
  });

  gpuTest("TW-19 an abort waits for the save under way", async (gpu) => {
    const storage = new MemoryStorage();
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const engine = slowEngine(
        await engineOn(storage),
        () => new Promise((resolve) => setTimeout(resolve, 30)),
      );
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

  gpuTest(
    "a save in the middle of an epoch is never the best: its weights were not measured",
    async (gpu) => {
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
    },
  );

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

  gpuTest(
    "a last save whose name another run took meanwhile is tried again under another",
    async (gpu) => {
      const storage = new MemoryStorage();
      const engine = await engineOn(storage);
      let isTaken = false;
      const late = slowEngine(engine, async () => {
        if (isTaken) return;
        isTaken = true;
        await withTrainer(gpu, smallRun({ seed: 2 }), async ({ trainer }) => {
          trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
          await trainer.train({ epochs: 1, progress: false });
        });
      });
      await withTrainer(gpu, smallRun({ seed: 1 }), async ({ trainer }) => {
        trainer.autoSave({ interval: 1, savePath: late });
        const report = await trainer.train({ epochs: 1, progress: false });
        expect(report.failedSaves.map(({ tag }) => tag)).toEqual(["model_epoch01"]);
        expect(tagsOf(report)).toEqual([`model_epoch01-${engine.runId.slice(0, 8)}`]);
      });
      expect(await tagsIn(storage)).toHaveLength(2);
    },
  );

  gpuTest("a rule says what is kept besides, and a wrong one is refused", async (gpu) => {
    const storage = new MemoryStorage();
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const savePath = await engineOn(storage);
      const keep = { last: 1, rule: anyOf(everyNSteps(14), explicitSteps([21])) };
      trainer.autoSave({ interval: 1, savePath, keep });
      await trainer.train({ epochs: 6, progress: false });
      const wrong = { keep: { rule: "everyNSteps" } } as unknown as AutoSaveOptions;
      expect(() => trainer.autoSave(wrong)).toThrow(TypeError);
    });
    // Seven steps an epoch.
    expect(await tagsIn(storage)).toEqual(["02", "03", "04", "06"].map((epoch) => `model_epoch${epoch}`));
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
