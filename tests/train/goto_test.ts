import { describe, expect } from "bun:test";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import type { Batch, BatchRequest, BatchSource } from "../../src/data/batch_source.ts";
import { batchNorm, linear, sequential } from "../../src/nn/nn.ts";
import { adagrad, ema, muon, scheduleFreeAdamw, sgd } from "../../src/nn/optim/optim.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import type { Callback } from "../../src/train/callbacks/callback.ts";
import type { TrainerOptions } from "../../src/train/trainer.ts";
import { gpuTest, ownGpuTest } from "../helpers/gpu.ts";
import { refuseBuffers } from "../helpers/refuse_buffers.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { writeFile } from "../storage/storage_contract.ts";
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

const QUIET = { progress: false } as const;

/** What a run is at a step, as far as everyone can see it. */
async function seenOf({ trainer, tensors }: Fixture): Promise<Record<string, unknown>> {
  const { step, epoch, history } = trainer;
  const { loss, terms, epochs, skipped } = history;
  // Numbers, as two typed arrays with a NaN are never equal in Bun.
  return {
    step,
    epoch,
    tensors: await tensors(),
    loss: [...loss],
    terms,
    epochs: [...epochs],
    skipped: [...skipped],
  };
}

/** Trains to `end` and looks at the run at each of `steps`, without `goto`. */
async function undisturbed(
  gpu: GpuDevice,
  options: TrainerOptions,
  steps: readonly number[],
): Promise<Map<number, Record<string, unknown>>> {
  const seen = new Map<number, Record<string, unknown>>();
  await withTrainer(gpu, options, async (made) => {
    for (const step of [...new Set(steps)].sort((a, b) => a - b)) {
      await made.trainer.train({ steps: step, ...QUIET });
      // What ends an epoch is measured by the loop that goes on.
      if (step > 0) seen.set(step, await seenOf(made));
    }
  });
  return seen;
}

/** Changes a byte of a tensor. */
async function damage(storage: MemoryStorage, path: string): Promise<void> {
  const reader = await storage.openRead(path);
  const bytes = new Uint8Array(reader.byteLength);
  await reader.read(0, bytes);
  await reader.close();
  bytes[5000] = (bytes[5000] ?? 0) ^ 1;
  await storage.remove(path);
  await writeFile(storage, path, bytes);
}

const normed = sequential(linear(FEATURES, HIDDEN), batchNorm(HIDDEN), linear(HIDDEN, CLASSES));
const RUNS: Readonly<Record<string, Partial<TrainerOptions>>> = {
  "adamw and dropout": { validation: blobs(21, { batchSize: BATCH }) },
  "momentum and running statistics": { model: normed, optimizer: sgd({ learningRate: 0.05, momentum: 0.9 }) },
  "an average of weights": { optimizer: ema(sgd({ learningRate: 0.05 }), { decay: 0.9 }) },
  "schedule-free adamw, clipped": {
    optimizer: scheduleFreeAdamw({ learningRate: 0.01 }),
    clipGradients: { norm: 1 },
  },
  "adagrad": { optimizer: adagrad({ learningRate: 0.05, initialAccumulatorValue: 0.5 }) },
  "muon, in pieces of a batch": { optimizer: muon({ learningRate: 0.01 }), microBatchSize: BATCH / 2 },
};

describe("Trainer.goto", () => {
  for (const [name, overrides] of Object.entries(RUNS)) {
    gpuTest(
      `XT-03 goto of ${name}: from the seed, from checkpoints and onwards, with equal bits`,
      async (gpu) => {
        const steps = [1, 9, 10, 13, 21, 29, 30];
        const options = () => smallRun(overrides);
        const seen = await undisturbed(gpu, options(), steps);
        await withTrainer(gpu, options(), async (made) => {
          const { trainer } = made;
          trainer.autoSave({ savePath: await engineOn(), everySteps: 10, name: "epoch-{epoch}" });
          await trainer.train({ steps: 30, ...QUIET });
          for (
            const [step, from, checkpoint] of [
              [13, 10, "step-00000010"],
              [9, 0, null],
              [10, 10, "step-00000010"],
              // From where it is, and then from a checkpoint of a step that is ahead of it.
              [13, 10, null],
              [29, 20, "step-00000020"],
              [1, 0, null],
              [21, 20, "step-00000020"],
              [30, 30, "step-00000030"],
            ] as const
          ) {
            expect(await trainer.goto(step)).toEqual({ step, from, checkpoint, skipped: [] });
            expect(await seenOf(made)).toEqual(seen.get(step) as never);
          }
          await trainer.goto(21);
          await trainer.train({ steps: 30, ...QUIET });
          expect(await seenOf(made)).toEqual(seen.get(30) as never);
        });
      },
    );
  }

  gpuTest(
    "XT-03 goto any of 1,000 steps with a checkpoint every 50: samples of them, edges included",
    async (gpu) => {
      const steps = [1, 49, 50, 51, 137, 499, 500, 777, 951, 999, 1000];
      const options = () => smallRun({ data: blobs(59, { batchSize: BATCH, shuffle: true }) });
      const seen = await undisturbed(gpu, options(), steps);
      const engine = await engineOn();
      await withTrainer(gpu, options(), async ({ trainer }) => {
        trainer.autoSave({ savePath: engine, everySteps: 50 });
        await trainer.train({ steps: 1000, ...QUIET });
      });
      // In another process, which has not resumed.
      await withTrainer(gpu, options(), async (made) => {
        made.trainer.autoSave({ savePath: engine, everySteps: 50 });
        for (const step of [999, 1, 500, 49, 777, 51, 1000, 137, 50, 951, 499]) {
          const { from, skipped } = await made.trainer.goto(step);
          expect([step - from < 50, skipped]).toEqual([true, []]);
          expect(await seenOf(made)).toEqual(seen.get(step) as never);
        }
      });
    },
  );

  gpuTest("XT-03 goto begins with a state in memory that is nearer than a checkpoint", async (gpu) => {
    const seen = await undisturbed(gpu, smallRun(), [17]);
    await withTrainer(gpu, smallRun({ rollback: { last: 4, everySteps: 4 } }), async (made) => {
      made.trainer.autoSave({ savePath: await engineOn(), everySteps: 10 });
      await made.trainer.train({ steps: 25, ...QUIET });
      expect(await made.trainer.goto(17)).toEqual({ step: 17, from: 16, checkpoint: null, skipped: [] });
      expect(await seenOf(made)).toEqual(seen.get(17) as never);
      expect(await made.trainer.rollback()).toBe(16);
    });
  });

  gpuTest(
    "XT-03 goto writes nothing and tells nobody; a branch that follows names its parent",
    async (gpu) => {
      const storage = new MemoryStorage();
      const heard: string[] = [];
      let isHearing = true;
      const hear = (what: string) => () => {
        if (isHearing) heard.push(what);
      };
      const ear: Callback = {
        name: "ear",
        onStart: hear("start"),
        onStep: hear("step"),
        onLosses: hear("losses"),
        onEpoch: hear("epoch"),
        onSave: hear("save"),
        onEnd: hear("end"),
      };
      await withTrainer(gpu, smallRun({ callbacks: [ear] }), async ({ trainer }) => {
        const engine = await engineOn(storage);
        trainer.autoSave({ savePath: engine, everySteps: 5 });
        isHearing = false;
        await trainer.train({ steps: 20, ...QUIET });
        isHearing = true;
        const before = await storage.list("");
        const progress: number[] = [];
        await trainer.goto(13, { onProgress: ({ done, total }) => void progress.push(done, total) });
        expect([heard, progress]).toEqual([[], [1, 3, 2, 3, 3, 3]]);
        expect(await storage.list("")).toEqual(before);
        const ten = await engine.load(10);
        const { fileId } = ten.reader;
        await ten.close();
        const { saves } = await trainer.train({ steps: 20, ...QUIET });
        expect(saves.map(({ tag }) => tag)).toEqual(["step-00000015-v2", "step-00000020-v2"]);
        const branch = await engine.load("step-00000015-v2");
        expect(branch.provenance).toMatchObject({ parent: fileId, step: 15, runId: engine.runId });
        await branch.close();
      });
    },
  );

  gpuTest("XT-03 goto tells steps of one branch from those of another by their losses", async (gpu) => {
    let factor = 1;
    const rates: Callback = {
      name: "rates",
      onStep: ({ run }) => {
        if (run.step === 12) run.scaleLearningRate(factor);
      },
    };
    await withTrainer(gpu, smallRun({ callbacks: [rates] }), async ({ trainer, tensors }) => {
      trainer.autoSave({ savePath: await engineOn(), everySteps: 5 });
      await trainer.train({ steps: 22, ...QUIET });
      await trainer.goto(10);
      factor = 0.25;
      await trainer.train({ steps: 16, ...QUIET });
      const atSixteen = await tensors();
      await trainer.train({ steps: 18, ...QUIET });
      // With a rate that was lowered on the way, which is done again, too.
      const report = await trainer.goto(14);
      expect(report).toMatchObject({ from: 10, checkpoint: "step-00000010" });
      await trainer.train({ steps: 18, ...QUIET });
      await trainer.goto(16);
      expect(await tensors()).toEqual(atSixteen);
      const { from, checkpoint, skipped } = await trainer.goto(16 - 1);
      expect([from, checkpoint]).toEqual([15, "step-00000015-v3"]);
      expect(skipped).toEqual([]);
      await trainer.goto(16);
      // The steps of the first branch are ahead of this one, and not of it.
      const error = await thrownBy(() => trainer.goto(20));
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toContain("train({ steps: 20 }) goes there");
      expect(trainer.step).toBe(16);
    });
  });

  gpuTest("XT-03 goto passes over a damaged checkpoint, and names it", async (gpu) => {
    const storage = new MemoryStorage();
    const seen = await undisturbed(gpu, smallRun(), [13]);
    await withTrainer(gpu, smallRun(), async (made) => {
      made.trainer.autoSave({ savePath: await engineOn(storage), everySteps: 5 });
      await made.trainer.train({ steps: 15, ...QUIET });
      await damage(storage, "step-00000010.cairn");
      const report = await made.trainer.goto(13);
      expect(report).toMatchObject({ from: 5, checkpoint: "step-00000005" });
      expect(report.skipped.map(({ tag }) => tag)).toEqual(["step-00000010"]);
      expect(await seenOf(made)).toEqual(seen.get(13) as never);
    });
  });

  gpuTest(
    "XT-03 goto refuses what is ahead, what is no step, and a beginning that is not the seed's",
    async (gpu) => {
      await withTrainer(gpu, smallRun(), async ({ trainer, store, tensors }) => {
        const ahead = await thrownBy(() => trainer.goto(1));
        expect(ahead).toBeInstanceOf(RangeError);
        expect(ahead.message).toContain("Step 1 is not in the past of the run: 0 are done");
        for (const step of [-1, 0.5, NaN, Infinity]) {
          expect(await thrownBy(() => trainer.goto(step))).toBeInstanceOf(RangeError);
        }
        store.write({ "model.0.bias": new Float32Array(HIDDEN).fill(0.25) });
        await trainer.train({ steps: 9, ...QUIET });
        const before = [trainer.step, trainer.history.loss, await tensors()];
        const error = await thrownBy(() => trainer.goto(4));
        expect((error as { code?: string }).code).toBe("no_checkpoint");
        expect(error.message).toMatch(
          /step 1 done again has the loss \d.*began with others, as after warmStart/,
        );
        expect([trainer.step, trainer.history.loss, await tensors()]).toEqual(before);
      });
    },
  );

  gpuTest(
    "XT-03 goto begins with a checkpoint of step 0 where the run did not begin with its seed",
    async (gpu) => {
      await withTrainer(gpu, smallRun(), async ({ trainer, store, tensors }) => {
        trainer.autoSave({ savePath: await engineOn(), everySteps: 100 });
        await trainer.evaluate(blobs(BATCH, { batchSize: BATCH }));
        store.write({ "model.0.bias": new Float32Array(HIDDEN).fill(0.25) });
        await trainer.save("first");
        const seen: unknown[] = [];
        const onStep = async () => void seen.push(await tensors());
        await trainer.train({ steps: 9, ...QUIET, onStep });
        expect(await trainer.goto(4)).toMatchObject({ from: 0, checkpoint: "first" });
        expect(await tensors()).toEqual(seen[3] as never);
      });
    },
  );

  gpuTest(
    "XT-03 goto that is stopped, and steps that are not the same again, leave the run as it was",
    async (gpu) => {
      let offset = 0;
      const inner = blobs(56, { batchSize: BATCH });
      const { batchSize, exampleCount, inputs, labels } = inner;
      const data = {
        batchSize,
        exampleCount,
        inputs,
        labels,
        batchAt: (request: { epoch: number; position: number }) =>
          inner.batchAt({ ...request, seed: 0, position: (request.position + offset) % 7 }),
      };
      await withTrainer(gpu, smallRun({ data }), async (made) => {
        const { trainer } = made;
        trainer.autoSave({ savePath: await engineOn(), everySteps: 5 });
        await trainer.train({ steps: 12, ...QUIET });
        const before = await seenOf(made);
        const stop = new AbortController();
        const stopped = await thrownBy(() =>
          trainer.goto(9, { signal: stop.signal, onProgress: () => stop.abort(new Error("enough")) })
        );
        expect(stopped.message).toBe("enough");
        expect(await seenOf(made)).toEqual(before);
        offset = 1;
        const error = await thrownBy(() => trainer.goto(9));
        expect((error as { code?: string }).code).toBe("state_mismatch");
        expect(error.message).toContain("step 6 done again has the loss");
        expect(await seenOf(made)).toEqual(before);
        offset = 0;
        await trainer.train({ steps: 14, ...QUIET });
        expect(trainer.step).toBe(14);
      });
    },
  );

  gpuTest(
    "XT-03 goto leaves out the batches that were left out, and goes back from a step that stopped the run",
    async (gpu) => {
      const inner = blobs(56, { batchSize: BATCH });
      const { batchSize, exampleCount, inputs, labels } = inner;
      const data: BatchSource = {
        batchSize,
        exampleCount,
        inputs,
        labels,
        batchAt(request: BatchRequest): Batch {
          const batch = inner.batchAt(request);
          if ([4, 15].includes(request.epoch * 7 + request.position)) (batch.inputs as Float32Array)[3] = NaN;
          return batch;
        },
      };
      await withTrainer(gpu, smallRun({ data }), async (made) => {
        const { trainer } = made;
        await trainer.train({ steps: 9, ...QUIET, onNonFinite: "skip" });
        const atNine = await seenOf(made);
        const error = await thrownBy(() => trainer.train({ steps: 30, ...QUIET }));
        expect([(error as { code?: string }).code, trainer.step]).toEqual(["non_finite", 15]);
        await trainer.goto(9);
        expect(await seenOf(made)).toEqual(atNine);
        expect(trainer.history.skipped).toEqual([4]);
      });
    },
  );

  ownGpuTest("XT-03 goto without room for a copy of the store says so, and changes nothing", async (gpu) => {
    await withTrainer(gpu, smallRun(), async (made) => {
      await made.trainer.train({ steps: 3, ...QUIET });
      const before = await seenOf(made);
      refuseBuffers(gpu.device, /^copy 0 of model slab/);
      const error = await thrownBy(() => made.trainer.goto(2));
      expect((error as { code?: string }).code).toBe("out_of_memory");
      expect(await seenOf(made)).toEqual(before);
    });
  });
});
