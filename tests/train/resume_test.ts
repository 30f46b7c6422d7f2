import { describe, expect } from "bun:test";
import { stat } from "node:fs/promises";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LoadFailures } from "../../src/checkpoint/keep/load_failures.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { linear } from "../../src/nn/nn.ts";
import { adamw, cosineDecay, sgd } from "../../src/nn/optim/optim.ts";
import type { StateInput } from "../../src/checkpoint/capture/state_types.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import type { BatchSource } from "../../src/data/batch_source.ts";
import type { TrainerOptions } from "../../src/train/trainer.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import {
  BATCH,
  blobs,
  CLASSES,
  engineOn,
  FEATURES,
  type Fixture,
  smallRun,
  withTrainer,
} from "./fixtures.ts";

/** What has to be the same bit for bit: tensors, losses, and what the epochs measured. */
async function bitsOf({ trainer, tensors }: Fixture): Promise<unknown> {
  const { loss, epochs } = trainer.history;
  return { step: trainer.step, tensors: await tensors(), loss: new Uint32Array(loss.buffer), epochs };
}

/** Trains until `step` and then throws, as a process that dies there. What was saved stays saved. */
async function dieAt({ trainer }: Fixture, step: number, epochs: number): Promise<void> {
  const controller = new AbortController();
  const onStep = (event: { step: number }) =>
    event.step === step ? controller.abort(new Error("killed")) : undefined;
  const error = await thrownBy(() =>
    trainer.train({ epochs, progress: false, signal: controller.signal, onStep })
  );
  expect(error.message).toBe("killed");
}

/** Options anew for each process: a trainer shares nothing with the one before. */
type MakeOptions = () => TrainerOptions;

/**
 * Trains in processes that die at `deaths`, each going on from what the one before saved; the bits of the
 * last.
 */
async function disturbed(
  gpu: GpuDevice,
  make: MakeOptions,
  epochs: number,
  everySteps: number,
  deaths: number[],
) {
  const storage = new MemoryStorage();
  const resumedAt: number[] = [];
  for (const death of deaths) {
    await withTrainer(gpu, make(), async (made) => {
      made.trainer.autoSave({ everySteps, savePath: await engineOn(storage) });
      resumedAt.push((await made.trainer.resume()).step);
      await dieAt(made, death, epochs);
    });
  }
  const bits = await withTrainer(gpu, make(), async (made) => {
    made.trainer.autoSave({ everySteps, savePath: await engineOn(storage) });
    resumedAt.push((await made.trainer.resume()).step);
    await made.trainer.train({ epochs, progress: false });
    return await bitsOf(made);
  });
  return { bits, resumedAt };
}

async function undisturbed(gpu: GpuDevice, make: MakeOptions, epochs: number): Promise<unknown> {
  return await withTrainer(gpu, make(), async (made) => {
    await made.trainer.train({ epochs, progress: false });
    return await bitsOf(made);
  });
}

describe("resume", () => {
  const configurations: Record<string, MakeOptions> = {
    "AdamW, a schedule, dropout and shuffling": () =>
      smallRun({
        optimizer: adamw({ learningRate: cosineDecay(0.02, 40) }),
        validation: blobs(20, { batchSize: BATCH }),
      }),
    "SGD with momentum": () =>
      smallRun({ optimizer: sgd({ learningRate: 0.05, momentum: 0.9, weightDecay: 1e-3 }) }),
    "a seed of 64 bits": () => smallRun({ seed: 0xfedc_ba98_7654_3210n }),
  };
  for (const [name, make] of Object.entries(configurations)) {
    gpuTest(
      `in the middle of epochs is bit for bit the run that was never disturbed: ${name}`,
      async (gpu) => {
        const { bits, resumedAt } = await disturbed(gpu, make, 6, 5, [13, 14, 33]);
        expect(resumedAt).toEqual([0, 10, 10, 30]);
        expect(bits).toEqual(await undisturbed(gpu, make, 6));
      },
      1_800_000,
    );
  }

  gpuTest("is bit for bit the same at every step around the turns of the loss ring", async (gpu) => {
    const make: MakeOptions = () => smallRun({ data: blobs(163, { batchSize: BATCH, shuffle: true }) });
    const expected = await undisturbed(gpu, make, 7);
    for (const save of [1, 31, 32, 33, 63, 64, 65, 95, 96, 97, 128, 129]) {
      const { bits, resumedAt } = await disturbed(gpu, make, 7, save, [save]);
      expect(resumedAt).toEqual([0, save]);
      expect(bits).toEqual(expected);
    }
  }, 1_800_000);

  gpuTest("two runs write the same state, however far their reads had come", async (gpu) => {
    const make: MakeOptions = () => smallRun({ data: blobs(163, { batchSize: BATCH, shuffle: true }) });
    const savedLosses = async (pause: number) => {
      const storage = new MemoryStorage();
      await withTrainer(gpu, make(), async ({ trainer }) => {
        trainer.autoSave({ everySteps: 70, savePath: await engineOn(storage) });
        const onStep = () => new Promise<void>((resolve) => setTimeout(resolve, pause));
        await trainer.train({ epochs: 4, progress: false, ...pause > 0 ? { onStep } : {} });
      });
      const checkpoint = await (await engineOn(storage)).load("step-00000070");
      const { history } = await checkpoint.state() as { history: { loss: Float32Array } };
      const ring = await checkpoint.reader.read("trainer.loss_ring");
      await checkpoint.close();
      return { loss: [...history.loss], ring: [...ring] };
    };
    const first = await savedLosses(0);
    expect(first.loss).toHaveLength(32);
    expect(await savedLosses(2)).toEqual(first);
  });

  gpuTest("says what it went on from, and gives back step, epoch, walltime and history", async (gpu) => {
    const storage = new MemoryStorage();
    const make = () => smallRun({ validation: blobs(20, { batchSize: BATCH }) });
    const saved = await withTrainer(gpu, make(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage), name: "run-{epoch:02d}" });
      expect(await trainer.resume()).toEqual({
        resumedFrom: null,
        path: null,
        runId: null,
        fileId: null,
        parent: null,
        order: null,
        step: 0,
        skipped: [],
        changed: [],
        warnings: [],
      });
      await trainer.train({ epochs: 2, progress: false });
      const { history, walltime } = trainer;
      return { loss: [...history.loss], epochs: history.epochs, walltime };
    });
    await withTrainer(gpu, make(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
      const report = await trainer.resume();
      expect(report.resumedFrom).toBe("run-02");
      expect(report.path).toContain("run-02.cairn");
      expect(report.warnings).toEqual([]);
      expect([trainer.step, trainer.epoch]).toEqual([14, 2]);
      expect([...trainer.history.loss]).toEqual(saved.loss);
      expect(trainer.history.epochs).toEqual(saved.epochs);
      expect(trainer.walltime).toBeGreaterThan(0);
      expect(trainer.walltime).toBeLessThanOrEqual(saved.walltime);
    });
  });

  gpuTest("refuses data with another number of examples, where the batches are as many", async (gpu) => {
    const storage = new MemoryStorage();
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
      await trainer.train({ epochs: 1, progress: false });
    });
    const data = blobs(60, { batchSize: BATCH, shuffle: true });
    await withTrainer(gpu, smallRun({ data }), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
      const error = await thrownBy(() => trainer.resume());
      expect(error.message).toContain("its run has exampleCount 59, this one 60; data.inputs ");
      expect((await trainer.resume({ allow: ["data"] })).changed.map(({ what }) => what)).toEqual([
        "exampleCount",
        "data.inputs",
        "data.labels",
      ]);
    });
  });

  gpuTest("skips a damaged checkpoint, says why, and leaves it where it is", async (gpu) => {
    const directory = await mkdtemp(join(tmpdir(), "cairn-resume-"));
    const { readFile, writeFile } = await import("node:fs/promises");
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: directory });
      await trainer.train({ epochs: 3, progress: false });
    });
    const path = join(directory, "model_epoch03.cairn");
    const bytes = await readFile(path);
    bytes[4096 + 100] = (bytes[4096 + 100] as number) ^ 1;
    await writeFile(path, bytes);
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: directory });
      const { resumedFrom, skipped } = await trainer.resume();
      expect(resumedFrom).toBe("model_epoch02");
      expect(skipped.map(({ tag, error }) => [tag, error.code])).toEqual([[
        "model_epoch03",
        "checksum_mismatch",
      ]]);
      await trainer.train({ epochs: 4, progress: false });
    });
    expect((await stat(path)).size).toBe(bytes.byteLength);
    expect([...await readFile(path)]).not.toEqual([]);
    await rm(directory, { recursive: true });
  });

  gpuTest(
    "refuses a checkpoint of another seed, optimizer, batch size or model, and changes nothing",
    async (gpu) => {
      const storage = new MemoryStorage();
      await withTrainer(gpu, smallRun(), async ({ trainer }) => {
        trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
        await trainer.train({ epochs: 1, progress: false });
      });
      const others: [Partial<TrainerOptions>, string][] = [
        [{ seed: 12 }, "its run has seed 11, this one 12"],
        [{ optimizer: sgd({ learningRate: 0.1 }) }, "its run has optimizer adamw, this one sgd"],
        [{ data: blobs(59, { batchSize: 7 }) }, "its run has batchSize 8, this one 7"],
        [{ model: linear(FEATURES, CLASSES) }, "strictly"],
      ];
      for (const [overrides, message] of others) {
        await withTrainer(gpu, smallRun(overrides), async ({ trainer, tensors }) => {
          trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
          const before = await tensors();
          const error = await thrownBy(() => trainer.resume());
          expect(error.code).toBe("state_mismatch");
          expect(error.message).toContain(message);
          expect(trainer.step).toBe(0);
          expect(await tensors()).toEqual(before);
        });
      }
    },
  );

  gpuTest("an epoch that was saved before it was measured is measured when it goes on", async (gpu) => {
    const make = () => smallRun({ validation: blobs(20, { batchSize: BATCH }) });
    const storage = new MemoryStorage();
    await withTrainer(gpu, make(), async ({ trainer }) => {
      trainer.autoSave({ savePath: await engineOn(storage) });
      await trainer.train({
        epochs: 2,
        progress: false,
        onStep: async ({ step }) => {
          if (step === 7) await trainer.save("end-of-one");
        },
      });
    });
    const bits = await withTrainer(gpu, make(), async (made) => {
      made.trainer.autoSave({ savePath: await engineOn(storage) });
      expect((await made.trainer.resume()).step).toBe(7);
      await made.trainer.train({ epochs: 3, progress: false });
      return await bitsOf(made);
    });
    expect(bits).toEqual(await undisturbed(gpu, make, 3));
  });
});

describe("TW rows of the training loop", () => {
  gpuTest("TW-15 a resumed run that is at its end returns without training or saving", async (gpu) => {
    const storage = new MemoryStorage();
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
      await trainer.train({ epochs: 2, progress: false });
    });
    const files = await storage.list("");
    await withTrainer(gpu, smallRun(), async ({ trainer, tensors }) => {
      trainer.autoSave({ interval: 1, everySteps: 1, savePath: await engineOn(storage) });
      await trainer.resume();
      const before = await tensors();
      const walltime = trainer.walltime;
      for (const epochs of [2, 1, 0]) {
        const report = await trainer.train({ epochs, progress: false });
        expect(report).toEqual({
          steps: 0,
          endedBy: "end",
          exitCode: 0,
          skipped: [],
          saves: [],
          failedSaves: [],
          warnings: [expect.stringContaining(`epochs: ${epochs} is a total of the run, which has done 2`)],
        });
      }
      expect(await tensors()).toEqual(before);
      expect(trainer.walltime).toBe(walltime);
    });
    expect(await storage.list("")).toEqual(files);
  });

  gpuTest("TW-15 walltime goes on where the process before stopped", async (gpu) => {
    const storage = new MemoryStorage();
    const process = async (epochs: number): Promise<number> => {
      let now = 1000;
      return await withTrainer(gpu, smallRun({ now: () => now }), async ({ trainer }) => {
        trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
        await trainer.resume();
        await trainer.train({ epochs, progress: false, onStep: () => void (now += 1000) });
        return trainer.walltime;
      });
    };
    expect(await process(1)).toBe(7);
    expect(await process(3)).toBe(21);
  });

  gpuTest("TW-16 a warm start takes the weights and begins at step 0", async (gpu) => {
    const directory = await mkdtemp(join(tmpdir(), "cairn-warm-"));
    const trained = await withTrainer(gpu, smallRun(), async ({ trainer, tensors }) => {
      await trainer.train({ epochs: 2, progress: false });
      await trainer.save(join(directory, "14"));
      return await tensors();
    });
    const weightsOf = (tensors: Record<string, string>, group: string) =>
      Object.fromEntries(Object.entries(tensors).filter(([name]) => name.startsWith(group)));
    await withTrainer(
      gpu,
      smallRun({ seed: 99, optimizer: sgd({ learningRate: 0.1, momentum: 0.9 }) }),
      async (made) => {
        const report = await made.trainer.warmStart(join(directory, "14"));
        expect(report?.loaded).toHaveLength(4);
        const tensors = await made.tensors();
        expect(weightsOf(tensors, "model.")).toEqual(weightsOf(trained, "model."));
        expect(Object.values(weightsOf(tensors, "optimizer.")).join("")).toMatch(/^0+$/);
        expect([made.trainer.step, made.trainer.epoch, made.trainer.history.length]).toEqual([0, 0, 0]);
        expect((await made.trainer.train({ epochs: 1, progress: false })).steps).toBe(7);
        expect(await made.trainer.warmStart(join(directory, "14"))).toBe(null);
      },
    );
    await rm(directory, { recursive: true });
  });

  gpuTest("TW-16 a warm start does nothing where the run has a checkpoint of its own", async (gpu) => {
    const directory = await mkdtemp(join(tmpdir(), "cairn-warm-"));
    const storage = new MemoryStorage();
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
      await trainer.train({ epochs: 1, progress: false });
      await trainer.save(join(directory, "7"));
    });
    await withTrainer(gpu, smallRun(), async ({ trainer, tensors }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
      const before = await tensors();
      expect(await trainer.warmStart(join(directory, "7"))).toBe(null);
      expect(await tensors()).toEqual(before);
    });
    await rm(directory, { recursive: true });
  });

  gpuTest("TW-16 a warm start with a model that does not fit says so, or takes what fits", async (gpu) => {
    const directory = await mkdtemp(join(tmpdir(), "cairn-warm-"));
    await withTrainer(gpu, smallRun({ model: linear(FEATURES, CLASSES) }), async ({ trainer }) => {
      await trainer.save(join(directory, "0"));
    });
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const error = await thrownBy(() => trainer.warmStart(join(directory, "0.cairn")));
      expect(error.code).toBe("state_mismatch");
      const report = await trainer.warmStart(join(directory, "0"), { strict: false });
      expect(report?.loaded).toEqual([]);
      expect(report?.unexpected).toEqual(["model.weight", "model.bias"]);
    });
    await rm(directory, { recursive: true });
  });

  gpuTest(
    "passes over a checkpoint that failed too often, and forgets the failures of one that was loaded",
    async (gpu) => {
      const storage = new MemoryStorage();
      await withTrainer(gpu, smallRun(), async ({ trainer }) => {
        trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
        await trainer.train({ epochs: 2, progress: false });
      });
      const attempt = async (options: TrainerOptions): Promise<unknown> =>
        await withTrainer(gpu, options, async ({ trainer }) => {
          trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
          return await trainer.resume({ maxFailures: 2 }).then(
            ({ resumedFrom, skipped }) => [resumedFrom, ...skipped.map(({ tag }) => tag)],
            (error: { code: string }) => error.code,
          );
        });
      for (let life = 0; life < 3; life++) expect(await attempt(smallRun())).toEqual(["model_epoch02"]);
      // A checkpoint of another run is not a failure.
      const other = smallRun({ model: linear(FEATURES, CLASSES) });
      for (let life = 0; life < 2; life++) expect(await attempt(other)).toBe("state_mismatch");
      expect(await attempt(smallRun())).toEqual(["model_epoch02"]);
      const engine = await engineOn(storage);
      const checkpoint = await engine.load("model_epoch02");
      await checkpoint.close();
      await new LoadFailures(engine).record("model_epoch02", checkpoint.reader.fileId, 2);
      expect(await attempt(smallRun())).toEqual(["model_epoch01", "model_epoch02"]);
    },
  );
});

describe("the order of the data", () => {
  /** A loader that says which versions of the order it is asked for. */
  function watched(asked: (number | undefined)[]): BatchSource {
    const examples = blobs(24, { batchSize: BATCH, shuffle: true });
    const { batchSize, exampleCount, inputs, labels } = examples;
    return {
      batchSize,
      exampleCount,
      inputs,
      labels,
      batchAt(request) {
        asked.push(request.orderVersion);
        return examples.batchAt(request);
      },
    };
  }

  gpuTest("of a run from before it had versions stays the old one, also in what it saves", async (gpu) => {
    const engine = await engineOn();
    const asked: (number | undefined)[] = [];
    const options = () => smallRun({ data: watched(asked) });
    await withTrainer(gpu, options(), async ({ trainer, store }) => {
      trainer.autoSave({ interval: 1, savePath: engine });
      await trainer.train({ epochs: 1, progress: false });
      expect(asked).toEqual([2, 2, 2]);
      const [tag = ""] = await engine.list();
      const checkpoint = await engine.load(tag);
      const { orderVersion, ...state } = await checkpoint.state() as Record<string, StateInput>;
      expect(orderVersion).toBe(2);
      await checkpoint.close();
      await engine.create("from-before");
      await engine.save({ store, state, provenance: { step: 3, epoch: 1 } });
      await engine.commit("from-before");
    });
    for (const epochs of [2, 3]) {
      await withTrainer(gpu, options(), async ({ trainer }) => {
        trainer.autoSave({ interval: 1, savePath: engine });
        const { step, resumedFrom } = await trainer.resume();
        expect(step).toBe(3 * (epochs - 1));
        if (epochs === 2) expect(resumedFrom).toBe("from-before");
        asked.length = 0;
        await trainer.train({ epochs, progress: false });
      });
      expect(asked).toEqual([1, 1, 1]);
    }
  });
});
