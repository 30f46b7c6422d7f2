import { afterAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { openCheckpoint } from "../../src/checkpoint/file/open_path.ts";
import { saveCheckpoint } from "../../src/checkpoint/compat/save_checkpoint.ts";
import { Snapshot } from "../../src/checkpoint/snapshot.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { blobs, engineOn, smallRun, withTrainer } from "../train/fixtures.ts";
import { errorOf, FaultStorage, fileNames, loadState, memoryEngine } from "./fixtures.ts";
import { until } from "../helpers/turns.ts";

const root = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-full-save-"));

afterAll(() => fs.rmSync(root, { recursive: true, force: true }));

describe("a trainer's save", () => {
  gpuTest(
    "NN-11 holds the model, the optimiser, the loader's place, the history and the settings, not the data",
    async (gpu) => {
      const options = smallRun({ validation: blobs(16, { batchSize: 8 }, 6) });
      const file = path.join(root, "full.cairn");
      await withTrainer(gpu, options, async ({ trainer, store }) => {
        trainer.autoSave({ interval: 5, savePath: path.join(root, "auto"), name: "e{epoch}" });
        await trainer.train({ epochs: 1, progress: false });
        await trainer.save(file);
        const checkpoint = await openCheckpoint(file);
        const { entries, provenance } = checkpoint.getManifest();
        const tensors = Object.keys(entries).filter((name) => name.startsWith("tensors/"));
        expect(tensors).toEqual(store.tensors().map(({ name }) => `tensors/${name}`));
        for (const group of ["model", "optimizer.m", "optimizer.v", "trainer"]) {
          expect(tensors.some((name) => name.startsWith(`tensors/${group}.`))).toBe(true);
        }
        expect(await checkpoint.stateFor("step")).toBe(7);
        expect(await checkpoint.stateFor("epoch")).toBe(1);
        expect(await checkpoint.stateFor("seed")).toBe(11);
        expect(await checkpoint.stateFor("loader")).toEqual({ epoch: 1, position: 0 });
        expect(await checkpoint.stateFor("batchSize")).toBe(8);
        expect(await checkpoint.stateFor("optimizer")).toBe("adamw");
        expect(await checkpoint.stateFor("walltime")).toBeGreaterThan(0);
        expect(await checkpoint.stateFor("autoSaver")).toMatchObject({ interval: 5, name: "e{epoch}" });
        const history = await checkpoint.stateFor("history") as { epochs: { metrics: object }[] };
        expect(Object.keys(history.epochs[0]?.metrics ?? {})).toEqual(
          expect.arrayContaining(["loss", "val_loss"]),
        );
        expect(provenance).toMatchObject({ tag: "full", adapter: gpu.adapterName });
        expect(provenance.writer).toMatch(/^cairn \d/);
        expect(provenance.runId).toMatch(/^[0-9a-f]{32}$/);
        // The data of 59 examples is not in it.
        const held = tensors.reduce((sum, name) => {
          const entry = entries[name];
          return sum + (entry?.kind === "tensor" ? entry.byteLength : 0);
        }, 0);
        expect(held).toBeLessThanOrEqual(store.stats().bytes);
        // Their checksums are there: a resumed run compares them.
        expect(tensors.filter((name) => /inputs|labels/.test(name))).toEqual([]);
        await checkpoint.close();
      });
    },
  );

  gpuTest("NN-12 is one file, with the directories above it, and all of it or none", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const directory = path.join(root, "not", "there", "yet");
      const report = await trainer.save(path.join(directory, "model"));
      expect(report.path).toBe(path.join(directory, "model.cairn"));
      expect(fs.readdirSync(directory).filter((name) => name !== "latest")).toEqual(["model.cairn"]);
      const blocked = path.join(root, "file");
      fs.writeFileSync(blocked, "mine");
      const error = await errorOf(trainer.save(path.join(blocked, "model")));
      expect(error.code).toBe("storage_failed");
      expect(error.message).toContain(blocked);
      expect(fs.readFileSync(blocked, "utf8")).toBe("mine");
    });
  });
});

describe("a failed save", () => {
  test("NN-18 rejects the call at every operation that may fail, and a success is always on the disk", async () => {
    let failures = 0;
    for (const takesEffect of [false, true]) {
      for (let at = 0, hasFired = true; hasFired; at++) {
        const inner = new MemoryStorage();
        const storage = new FaultStorage(inner);
        storage.failAt(at, "EIO", { onward: true, takesEffect });
        const saving = saveCheckpoint(await memoryEngine(storage), { state: { epoch: 4 } }, { tag: "a" });
        const outcome = await saving.then((report) => report.tag, (error: { code: string }) => error.code);
        hasFired = storage.hasFired;
        if (outcome === "a") {
          expect(await loadState(await memoryEngine(inner), "a")).toEqual({ epoch: 4 });
        } else {
          failures++;
          expect(outcome).toBe("storage_failed");
          // The hint is what other programs take for a success.
          expect(await fileNames(inner)).not.toContain("latest");
        }
      }
    }
    expect(failures).toBeGreaterThan(10);
  });

  test("NN-18 in the background it is always reported: by wait, by the next save, or by close", async () => {
    const tell = [
      async (snapshot: Snapshot) => void await (await snapshot.save(1)).wait(),
      async (snapshot: Snapshot) => {
        await (await snapshot.save(1)).settled();
        await snapshot.save(2);
      },
      async (snapshot: Snapshot) => {
        await snapshot.save(1);
        await snapshot.close();
      },
    ];
    for (const call of tell) {
      const storage = new FaultStorage(new MemoryStorage());
      const snapshot = new Snapshot(await memoryEngine(storage), { epoch: 1 });
      storage.failAt(2, "EIO", { onward: true });
      expect((await errorOf(call(snapshot))).code).toBe("storage_failed");
      expect(snapshot.pending?.done ?? false).toBe(false);
      expect((await fileNames(storage.inner)).filter((name) => name.endsWith(".cairn"))).toEqual([]);
    }
  });

  gpuTest("NN-18 in a training it is listed among the failed saves, not among the saves", async (gpu) => {
    const faults = new FaultStorage(new MemoryStorage());
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(faults) });
      let saves = 0;
      const report = await trainer.train({
        epochs: 2,
        progress: false,
        onWarning: () => {},
        onSave: () => void saves++,
        onEpoch: async ({ epoch }) => {
          if (epoch !== 2) return;
          await until(() => saves === 1);
          faults.failAt(faults.operations.length + 2, "EIO", { onward: true });
        },
      });
      expect(report.saves.map(({ tag }) => tag)).toEqual(["model_epoch01"]);
      // Twice, as the last one is tried again at the end.
      expect([...new Set(report.failedSaves.map(({ tag }) => tag))]).toEqual(["model_epoch02"]);
      faults.heal();
    });
    expect((await fileNames(faults.inner)).filter((name) => name.endsWith(".cairn"))).toEqual([
      "model_epoch01.cairn",
    ]);
  });
});
