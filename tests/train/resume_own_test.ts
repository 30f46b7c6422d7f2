import { describe, expect } from "bun:test";
import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { CairnError } from "../../src/base/errors.ts";
import { getCheckpoint } from "../../src/checkpoint/keep/newest_checkpoint.ts";
import { loadCheckpoint } from "../../src/checkpoint/compat/load_checkpoint.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { layerNorm, linear } from "../../src/nn/nn.ts";
import { crossEntropy } from "../../src/nn/losses/cross_entropy.ts";
import { adamw, cosineDecay, linearWarmup, sgd, stepDecay } from "../../src/nn/optim/optim.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { storageError } from "../../src/storage/storage_error.ts";
import type { RunSetting } from "../../src/train/loop/run_identity.ts";
import type { ResumeReport } from "../../src/train/restore_options.ts";
import type { TrainerOptions } from "../../src/train/trainer.ts";
import { putFile, readFileOf, withManifest } from "../checkpoint/with_manifest.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { HookedStorage } from "../helpers/hooked_storage.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { BATCH, blobs, CLASSES, engineOn, FEATURES, smallRun, withTrainer } from "./fixtures.ts";

/** Trains a run for some epochs into a storage, under names of its own. */
async function trainInto(
  gpu: GpuDevice,
  storage: MemoryStorage,
  name: string,
  epochs: number,
  options: TrainerOptions = smallRun(),
  allow: readonly RunSetting[] = [],
): Promise<ResumeReport> {
  return await withTrainer(gpu, options, async ({ trainer }) => {
    trainer.autoSave({ interval: 1, savePath: await engineOn(storage), name: `${name}{epoch}` });
    const report = await trainer.resume({ allow });
    await trainer.train({ epochs, progress: false });
    return report;
  });
}

function detailsOf(error: unknown): { value?: unknown } {
  return error instanceof CairnError ? error.details : {};
}

async function resumeIn(
  gpu: GpuDevice,
  storage: MemoryStorage,
  options: TrainerOptions = smallRun(),
  allow: readonly RunSetting[] = [],
): Promise<ResumeReport> {
  return await withTrainer(gpu, options, async ({ trainer }) => {
    trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
    return await trainer.resume({ allow });
  });
}

describe("two runs in one directory", () => {
  gpuTest("each goes on from its own newest checkpoint, and says what it passed over", async (gpu) => {
    const storage = new MemoryStorage();
    const other = smallRun({ seed: 12 });
    await trainInto(gpu, storage, "a", 2);
    await withTrainer(gpu, other, async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage), name: "b{epoch}" });
      await trainer.train({ epochs: 3, progress: false });
    });
    const report = await resumeIn(gpu, storage);
    expect([report.resumedFrom, report.step, report.warnings]).toEqual(["a2", 14, []]);
    expect(report.skipped.map(({ tag, error }) => [tag, error.code])).toEqual(
      ["b3", "b2", "b1"].map((tag) => [tag, "state_mismatch"]),
    );
    expect(report.skipped[0]?.reason).toContain("its run has seed 12, this one 11");
    expect((await resumeIn(gpu, storage, other)).resumedFrom).toBe("b3");
  });

  gpuTest("of which none is its own are an error that names every difference of the newest", async (gpu) => {
    const storage = new MemoryStorage();
    await trainInto(gpu, storage, "a", 1);
    const options = smallRun({ seed: 12, optimizer: adamw({ learningRate: 0.02, beta1: 0.8 }) });
    const error = await thrownBy(() => resumeIn(gpu, storage, options));
    expect(error.code).toBe("state_mismatch");
    expect(error.message).toContain(
      'Cannot resume from "a1": its run has seed 11, this one 12; optimizer.beta1 0.9, this one 0.8. Give the same of each',
    );
    expect(error.message).toContain('resume({ allow: ["seed", "optimizer"] })');
    expect(detailsOf(error).value).toEqual([
      { part: "seed", what: "seed", found: "11", expected: "12" },
      { part: "optimizer", what: "optimizer.beta1", found: "0.9", expected: "0.8" },
    ]);
  });

  gpuTest("that both match: the one saved last is taken, and the other one is named", async (gpu) => {
    const storage = new MemoryStorage();
    await trainInto(gpu, storage, "a", 3);
    // A run that began anew, as it does in a process that does not resume.
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage), name: "b{epoch}" });
      await trainer.train({ epochs: 1, progress: false });
    });
    const { resumedFrom, runId, fileId, order, warnings } = await resumeIn(gpu, storage);
    expect([resumedFrom, order]).toEqual(["b1", 4]);
    expect(runId).toMatch(/^[0-9a-f]{32}$/);
    expect(fileId).toMatch(/^[0-9a-f]{32}$/);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('could be gone on from as well, with "a3" at step 21');
  });

  gpuTest("a model of another shape, and a file without a trainer's state, are passed over", async (gpu) => {
    const storage = new MemoryStorage();
    await trainInto(gpu, storage, "a", 1);
    await withTrainer(gpu, smallRun({ model: linear(FEATURES, CLASSES) }), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage), name: "b{epoch}" });
      await trainer.train({ epochs: 1, progress: false });
    });
    const engine = await engineOn(storage);
    await engine.create("weights");
    await engine.save({ state: { note: "mine" } });
    await engine.commit("weights");
    const report = await resumeIn(gpu, storage);
    expect(report.resumedFrom).toBe("a1");
    expect(report.skipped.map(({ tag }) => tag)).toEqual(["weights", "b1"]);
  });
});

/** A software adapter takes long to compile the first matmul of each size. */
const WITHOUT_MATMUL = { model: layerNorm(FEATURES) };

describe("a run of which something is changed", () => {
  const lossWithoutName: TrainerOptions["loss"] = (output, labels) => crossEntropy()(output, labels);
  const changes: Record<string, [Partial<TrainerOptions>, RunSetting, string]> = {
    "the optimiser's options": [
      { optimizer: adamw({ learningRate: 0.02, weightDecay: 0.1 }) },
      "optimizer",
      "optimizer.weightDecay",
    ],
    "the learning rate": [{ optimizer: adamw({ learningRate: 0.03 }) }, "schedule", "schedule.rate"],
    "the schedule": [
      { optimizer: adamw({ learningRate: cosineDecay(0.02, 9) }) },
      "schedule",
      "schedule",
    ],
    "a schedule of its own": [{ optimizer: adamw({ learningRate: () => 0.02 }) }, "schedule", "schedule"],
    "the loss": [{ loss: lossWithoutName }, "loss", "loss"],
    "other examples": [{ data: blobs(59, { batchSize: BATCH, shuffle: true }, 6) }, "data", "data.inputs"],
    "another order": [{ data: blobs(59, { batchSize: BATCH }) }, "data", "data.shuffle"],
    "a seed of the data": [
      { data: blobs(59, { batchSize: BATCH, shuffle: true, seed: 3 }) },
      "data",
      "data.seed",
    ],
    "the seed": [{ seed: 12n }, "seed", "seed"],
    "the size of a batch": [
      { data: blobs(59, { batchSize: 2 * BATCH, shuffle: true }), ...WITHOUT_MATMUL },
      "batchSize",
      "batchSize",
    ],
    "another optimiser": [
      { optimizer: sgd({ learningRate: 0.02, momentum: 0.5 }) },
      "optimizer",
      "optimizer",
    ],
  };
  for (const [what, [override, part, place]] of Object.entries(changes)) {
    gpuTest(`is refused unless that is allowed, and then the next files say so: ${what}`, async (gpu) => {
      const storage = new MemoryStorage();
      const { model = smallRun().model } = override;
      await trainInto(gpu, storage, "a", 1, smallRun({ model }));
      const error = await thrownBy(() => resumeIn(gpu, storage, smallRun(override)));
      expect(error.code).toBe("state_mismatch");
      expect((detailsOf(error).value as { what: string }[]).map(({ what }) => what)).toContain(place);
      const others = (["precision", "numerics", "loss", "seed"] as const).filter((each) => each !== part);
      expect((await thrownBy(() => resumeIn(gpu, storage, smallRun(override), others))).code).toBe(
        "state_mismatch",
      );
      const allow: RunSetting[] = part === "optimizer" ? ["optimizer", "schedule"] : [part];
      const report = await trainInto(gpu, storage, "b", 3, smallRun(override), allow);
      expect([report.resumedFrom, report.step]).toEqual(["a1", 7]);
      expect(report.changed.map(({ what }) => what)).toContain(place);
      // From here on it is the run that it became.
      const next = await resumeIn(gpu, storage, smallRun(override));
      expect([next.resumedFrom, next.changed]).toEqual(["b3", []]);
      const checkpoint = await (await engineOn(storage)).load("b3");
      const { changes } = await checkpoint.state() as {
        changes: { step: number; part: string; what: string }[];
      };
      await checkpoint.close();
      expect(changes.map(({ step, part, what }) => [step, part, what])).toEqual(
        report.changed.map(({ part, what }) => [7, part, what]),
      );
    }, 60_000);
  }

  gpuTest(
    "keeps its epochs where batches have another size: those of before count as they were",
    async (gpu) => {
      const storage = new MemoryStorage();
      await withTrainer(gpu, smallRun(WITHOUT_MATMUL), async ({ trainer }) => {
        trainer.autoSave({ savePath: await engineOn(storage) });
        await trainer.train({
          epochs: 2,
          progress: false,
          onStep: async ({ step }) => {
            // In the second epoch, behind 4 of 7 batches of 8.
            if (step === 11) await trainer.save("middle");
          },
        });
      });
      const seen: number[][] = [];
      const inner = blobs(59, { batchSize: 2 * BATCH, shuffle: true });
      const data = {
        batchSize: inner.batchSize,
        exampleCount: inner.exampleCount,
        dropLast: true,
        inputs: inner.inputs,
        labels: inner.labels,
        describe: () => inner.describe(),
        batchAt: (request: Parameters<typeof inner.batchAt>[0]) => {
          seen.push([request.epoch, request.position]);
          return inner.batchAt(request);
        },
      };
      await withTrainer(gpu, smallRun({ data, ...WITHOUT_MATMUL }), async ({ trainer }) => {
        trainer.autoSave({ savePath: await engineOn(storage), interval: 1, name: "later{epoch}" });
        await trainer.resume({ allow: ["batchSize"] });
        expect([trainer.step, trainer.epoch]).toEqual([11, 1]);
        await trainer.train({ epochs: 3, progress: false });
        expect([trainer.step, trainer.epoch]).toEqual([15, 3]);
      });
      expect(seen).toEqual([[1, 2], [2, 0], [2, 1], [2, 2]]);
      seen.length = 0;
      await withTrainer(gpu, smallRun({ data, ...WITHOUT_MATMUL }), async ({ trainer }) => {
        trainer.autoSave({ savePath: await engineOn(storage), interval: 1, name: "later{epoch}" });
        expect((await trainer.resume()).resumedFrom).toBe("later3");
        await trainer.train({ epochs: 4, progress: false });
        expect([trainer.step, trainer.epoch]).toEqual([18, 4]);
      });
      expect(seen).toEqual([[3, 0], [3, 1], [3, 2]]);
    },
  );

  gpuTest("the same setting written in another way is no change", async (gpu) => {
    const storage = new MemoryStorage();
    const make = (): TrainerOptions =>
      smallRun({
        optimizer: adamw({ learningRate: linearWarmup(3, stepDecay(0.1, 2, 0.5)) }),
        loss: (a, b) => crossEntropy()(a, b),
      });
    await trainInto(gpu, storage, "a", 1, make());
    expect((await resumeIn(gpu, storage, make())).resumedFrom).toBe("a1");
    const spelled = smallRun({ seed: 11n, optimizer: adamw({ learningRate: 0.02, beta1: 0.9 }) });
    const plain = new MemoryStorage();
    await trainInto(gpu, plain, "a", 1);
    expect((await resumeIn(gpu, plain, spelled)).resumedFrom).toBe("a1");
  });

  gpuTest("names what may be allowed when something else is asked for", async (gpu) => {
    const storage = new MemoryStorage();
    const wrong = await thrownBy(() => resumeIn(gpu, storage, smallRun(), ["model" as RunSetting]));
    expect(wrong.name).toBe("RangeError");
    expect(wrong.message).toContain('allow has "model" in it, expected some of "seed", "optimizer"');
    expect((await thrownBy(() => resumeIn(gpu, storage, smallRun(), "data" as never))).name).toBe(
      "TypeError",
    );
  });

  gpuTest("another numerics version is a change, and what is not recorded is not compared", async (gpu) => {
    const storage = new MemoryStorage();
    await trainInto(gpu, storage, "a", 1);
    const bytes = await readFileOf(storage, "a1.cairn");
    const rewritten = async (change: (state: Record<string, unknown>) => void): Promise<MemoryStorage> => {
      const other = new MemoryStorage();
      const file = await withManifest(bytes, (manifest) => {
        const state = structuredClone({ ...manifest.state as object, history: undefined }) as Record<
          string,
          unknown
        >;
        change(state);
        const { history } = manifest.state as { history: unknown };
        return { ...manifest, state: { ...state, history } as never };
      });
      await putFile(other, "a1.cairn", file);
      return other;
    };
    const newer = await rewritten((state) => {
      (state.parts as { numerics: number }).numerics = 99;
    });
    expect((await thrownBy(() => resumeIn(gpu, newer))).message).toContain("numerics version 99, this one 1");
    expect((await resumeIn(gpu, newer, smallRun(), ["numerics"])).resumedFrom).toBe("a1");
    const older = await rewritten((state) => {
      delete state.parts;
      delete state.exampleCount;
    });
    const changed = smallRun({ optimizer: adamw({ learningRate: 5, beta1: 0.1 }) });
    expect((await resumeIn(gpu, older, changed)).resumedFrom).toBe("a1");
    const strange = await rewritten((state) => {
      state.parts = {
        ...state.parts as object,
        optimizer: { name: 5, beta1: new Map([[1, 2]]) },
        data: { name: "x" },
      };
    });
    expect((await thrownBy(() => resumeIn(gpu, strange))).code).toBe("state_mismatch");
  });

  gpuTest("a manifest of another step than its state is refused", async (gpu) => {
    const storage = new MemoryStorage();
    await trainInto(gpu, storage, "a", 1);
    const bytes = await withManifest(await readFileOf(storage, "a1.cairn"), (manifest) => {
      return { ...manifest, provenance: { ...manifest.provenance, step: 9 } };
    });
    const other = new MemoryStorage();
    await putFile(other, "a1.cairn", bytes);
    const error = await thrownBy(() => resumeIn(gpu, other));
    expect([error.code, error.message]).toEqual([
      "state_mismatch",
      'Cannot resume from "a1": its manifest says step 9, and its state step 7, as no trainer writes it; ' +
      "give another checkpoint",
    ]);
  });
});

describe("resume before autoSave", () => {
  gpuTest("says to call autoSave first, or where to look", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const error = await thrownBy(() => trainer.resume());
      expect(error.name).toBe("TypeError");
      expect(error.message).toBe(
        'resume() looks in the directory of autoSave(), which was not called; call autoSave({ savePath: "checkpoints", ' +
          'interval: 1 }) first, or say where to look: resume({ directory: "checkpoints" })',
      );
      trainer.autoSave({ savePath: null });
      expect((await thrownBy(() => trainer.resume())).message).toContain(
        "has no savePath, as saving is disabled",
      );
      expect(trainer.step).toBe(0);
    });
  });

  gpuTest("looks in a directory, which later saves go on in with the same run", async (gpu) => {
    const root = await mkdtemp(join(tmpdir(), "cairn-resume-own-"));
    const first = await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: root });
      await trainer.train({ epochs: 1, progress: false });
      return await trainer.resume();
    });
    for (const directory of [root, pathToFileURL(`${root}/`), `${root}/`]) {
      await withTrainer(gpu, smallRun(), async ({ trainer }) => {
        const report = await trainer.resume({ directory });
        expect([report.resumedFrom, report.runId]).toEqual(["model_epoch01", first.runId]);
        trainer.autoSave({ savePath: root });
        const { path } = await trainer.save("more", { overwrite: true });
        const checkpoint = await (await import("../../src/checkpoint/file/open_path.ts")).openCheckpoint(
          path,
        );
        expect(checkpoint.provenance.runId).toBe(first.runId ?? "");
        await checkpoint.close();
        await rm(path);
      });
    }
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: join(root, "new") });
      expect((await trainer.resume()).resumedFrom).toBe(null);
      const report = await trainer.resume({ directory: root });
      expect([report.resumedFrom, trainer.step]).toEqual(["model_epoch01", 7]);
      await trainer.train({ epochs: 2, progress: false });
    });
    expect(await readdir(join(root, "new"))).toContain("model_epoch02.cairn");
    await rm(root, { recursive: true });
  });
});

describe("files that cannot be read", () => {
  gpuTest("are an error where nothing sound is found, and not a fresh start", async (gpu) => {
    const inner = new MemoryStorage();
    await trainInto(gpu, inner, "a", 2);
    const hidden = new Set(["a1.cairn", "a2.cairn"]);
    const storage = new HookedStorage(inner, {
      before: ({ op, path }) => {
        if (op !== "openRead" || !hidden.has(path)) return;
        throw storageError("read", path, Object.assign(new Error("denied"), { code: "EACCES" }));
      },
    });
    const engine = await engineOn(storage);
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: engine });
      const error = await thrownBy(() => trainer.resume());
      expect(error.code).toBe("storage_failed");
      expect(error.message).toContain("There may be a checkpoint, and it cannot be read");
      expect(error.message).toContain("permission was denied (EACCES)");
      expect(error.message).toContain("1 more cannot be read either");
      for (const work of [() => getCheckpoint(engine, { missingOk: true }), () => loadCheckpoint(engine)]) {
        expect((await thrownBy(work)).code).toBe("storage_failed");
      }
      hidden.delete("a1.cairn");
      const missing = await thrownBy(() => getCheckpoint(engine, { step: 14 }));
      expect(missing.message).toContain("there are 7; 1 file could not be opened: ");
      const report = await trainer.resume();
      expect([report.resumedFrom, ...report.skipped.map(({ tag }) => tag)]).toEqual(["a1", "a2"]);
    });
  });

  gpuTest("by their mode, on a real disk, are the same", async (gpu) => {
    const root = await mkdtemp(join(tmpdir(), "cairn-resume-own-"));
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: root });
      await trainer.train({ epochs: 1, progress: false });
      await chmod(join(root, "model_epoch01.cairn"), 0o000);
      const outcome = await trainer.resume().then(() => "resumed", (error: { code: string }) => error.code);
      // Root reads everything.
      expect(outcome).toBe(process.getuid?.() === 0 ? "resumed" : "storage_failed");
    });
    await rm(root, { recursive: true });
  });
});
