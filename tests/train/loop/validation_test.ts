import { describe, expect, test } from "bun:test";
import { readCatalog } from "../../../src/checkpoint/engine/catalog.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { mean } from "../../../src/graph/ops/reduce.ts";
import { mse } from "../../../src/nn/nn.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import type { AutoSaveOptions } from "../../../src/train/saves/auto_save_options.ts";
import { AutoSaver } from "../../../src/train/saves/auto_saver.ts";
import type { BatchRequest, BatchSource } from "../../../src/data/batch_source.ts";
import type { TrainOptions } from "../../../src/train/train_options.ts";
import type { TrainerOptions } from "../../../src/train/trainer.ts";
import { validationOf } from "../../../src/train/loop/validation_settings.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { BATCH, blobs, CLASSES, engineOn, FEATURES, smallRun, withTrainer } from "../fixtures.ts";

const QUIET = { progress: false } as const;
const PER_EPOCH = 4;

/** Data whose labels are what `score` says of each request. */
function source(batches: number, score: (request: BatchRequest) => number): BatchSource {
  const inner = blobs(batches * BATCH, { batchSize: BATCH });
  return {
    batchSize: BATCH,
    exampleCount: batches * BATCH,
    inputs: { dtype: "f32", shape: [FEATURES] },
    labels: { dtype: "f32", shape: [CLASSES] },
    batchAt: (request) => ({
      inputs: inner.batchAt(request).inputs,
      labels: new Float32Array(BATCH * CLASSES).fill(score(request)),
    }),
  };
}

/** Four steps an epoch. The metric `val_score` is, one validation after the other, what `scores` says. */
function scripted(scores: readonly number[], everySteps?: number): TrainerOptions {
  let at = 0;
  const data = source(1, () => scores[at++] ?? NaN);
  return smallRun({
    data: source(PER_EPOCH, ({ position }) => position / 10),
    validation: everySteps === undefined ? data : { data, everySteps },
    loss: mse(),
    metrics: { score: (_, labels) => mean(labels, { axes: [1] }) },
  });
}

const HIGHEST = { best: { metric: "val_score", direction: "max" as const } };

/** The tags that a run of `epochs` saved, those that are left, and what it warned of. */
async function saved(gpu: GpuDevice, options: TrainerOptions, saving: AutoSaveOptions, epochs: number) {
  const storage = new MemoryStorage();
  return await withTrainer(gpu, options, async ({ trainer }) => {
    const names = { name: "e{epoch}", stepName: "s{step}" };
    trainer.autoSave({ ...names, ...saving, savePath: await engineOn(storage) });
    const report = await trainer.train({ epochs, ...QUIET });
    return {
      tags: report.saves.map(({ tag }) => tag),
      left: (await (await engineOn(storage)).list()).sort(),
      warnings: report.warnings,
      storage,
    };
  });
}

describe("a validation", () => {
  gpuTest("is a moment to save when it is the best, whatever everySteps says", async (gpu) => {
    const { tags, left } = await saved(
      gpu,
      scripted([1, 5, 2]),
      { everySteps: 3, keep: { last: 1, ...HIGHEST } },
      3,
    );
    expect(tags).toEqual(["s3", "e1", "s6", "e2", "s9", "s12"]);
    expect(left).toEqual(["e2", "s12"]);
  });

  gpuTest("is a moment to save whatever the interval is, and where nothing else is", async (gpu) => {
    expect((await saved(gpu, scripted([1, 5, 2, 6]), { interval: 4, keep: HIGHEST }, 4)).tags).toEqual([
      "e1",
      "e2",
      "e4",
    ]);
    expect((await saved(gpu, scripted([3, 5, 2, 4]), { keep: HIGHEST }, 4)).tags).toEqual(["e1", "e2"]);
  });

  gpuTest(
    "that is not finite is never the best, does not displace one, and is warned of once",
    async (gpu) => {
      const scores = [NaN, 5, Infinity, NaN, 6, 4];
      const { tags, left, warnings } = await saved(
        gpu,
        scripted(scores),
        { keep: { last: 1, ...HIGHEST } },
        6,
      );
      expect(tags).toEqual(["e2", "e5"]);
      expect(left).toEqual(["e5"]);
      expect(warnings.filter((warning) => warning.includes("val_score"))).toEqual([
        '"val_score" is NaN after step 4: no checkpoint of that step is the best by it',
      ]);
      const lowest = { best: { metric: "val_score", direction: "min" as const } };
      expect((await saved(gpu, scripted([2, -Infinity, 1]), { keep: lowest }, 3)).tags).toEqual(["e1", "e3"]);
    },
  );

  gpuTest("is a moment to save only by a metric of its own, not by the training loss", async (gpu) => {
    const keep = { last: 1, best: { metric: "loss", direction: "max" as const } };
    expect((await saved(gpu, scripted([1, 2, 3]), { interval: 2, keep }, 3)).tags).toEqual(["e2", "e3"]);
  });

  gpuTest("within an epoch measures these weights: names, metrics and history are right", async (gpu) => {
    const options = scripted([1, 2, 3, 4, 5, 6], 3);
    const storage = new MemoryStorage();
    await withTrainer(gpu, options, async ({ trainer }) => {
      const names = { name: "e{epoch}-{val_score:.0f}", stepName: "s{step}-{val_score:.0f}" };
      trainer.autoSave({ ...names, everySteps: 3, keep: HIGHEST, savePath: await engineOn(storage) });
      const { saves } = await trainer.train({ epochs: 3, ...QUIET });
      expect(saves.map(({ tag }) => tag)).toEqual(["s3-1", "e1-2", "s6-3", "e2-4", "s9-5", "e3-6"]);
      const { epochs, validations, loss } = trainer.history;
      expect(validations.map(({ epoch, step }) => [epoch, step])).toEqual([[1, 3], [2, 6], [3, 9]]);
      expect(validations.map(({ metrics }) => metrics.val_score)).toEqual([1, 3, 5]);
      expect(epochs.map(({ step, metrics }) => [step, metrics.val_score])).toEqual([[4, 2], [8, 4], [12, 6]]);
      const [fifth = NaN, sixth = NaN] = loss.subarray(4, 6);
      expect(validations[1]?.metrics.loss).toBe((fifth + sixth) / 2);
      const { checkpoints } = await readCatalog(await engineOn(storage));
      expect(checkpoints.find(({ step }) => step === 6)?.metrics).toEqual({ ...validations[1]?.metrics });
    });
  });

  gpuTest("falls on the end of an epoch once", async (gpu) => {
    await withTrainer(gpu, scripted([1, 2, 3, 4, 5], 2), async ({ trainer }) => {
      await trainer.train({ epochs: 2, ...QUIET });
      expect(trainer.history.validations.map(({ step }) => step)).toEqual([2, 6]);
      expect(trainer.history.epochs.map(({ metrics }) => metrics.val_score)).toEqual([2, 4]);
    });
  });

  gpuTest(
    "goes on exactly after a resume in the middle of an epoch, before or after it was measured",
    async (gpu) => {
      const fixed = () => {
        const validation = { data: blobs(16, { batchSize: BATCH }, 77), everySteps: 3 };
        return smallRun({ validation });
      };
      const outcome = async (
        storage: MemoryStorage,
        training: TrainOptions,
        saving: AutoSaveOptions = {},
      ) =>
        await withTrainer(gpu, fixed(), async ({ trainer, tensors }) => {
          const names = { name: "e{epoch}", stepName: "s{step}" };
          trainer.autoSave({
            ...names,
            keep: { best: "val_loss" },
            ...saving,
            savePath: await engineOn(storage),
          });
          await trainer.resume();
          await trainer.train(training).catch((error: Error) => expect(error.message).toBe("enough"));
          const { epochs, validations, loss } = trainer.history;
          const tags = (await (await engineOn(storage)).list()).sort();
          return { tensors: await tensors(), epochs, validations, loss: [...loss], tags };
        });
      const whole = await outcome(new MemoryStorage(), { epochs: 3, ...QUIET });
      expect(whole.validations.map(({ step }) => step)).toEqual([3, 6, 9, 12, 15, 18]);
      for (const stopAt of [6, 9, 10]) {
        const storage = new MemoryStorage();
        const onStep = ({ step }: { step: number }) => {
          if (step === stopAt) throw new Error("enough");
        };
        // What is saved after the error at a multiple of 3 was not measured yet.
        await outcome(storage, { epochs: 3, onStep, ...QUIET });
        const resumed = await outcome(storage, { epochs: 3, ...QUIET });
        expect({ ...resumed, tags: [] }).toEqual({ ...whole, tags: [] });
        for (const tag of whole.tags) {
          expect(resumed.tags.some((other) => other === tag || other.startsWith(`${tag}-v`))).toBe(true);
        }
      }
    },
  );

  test("is asked for by a loader, or by one with the steps in between", () => {
    const data = blobs(16, { batchSize: BATCH });
    expect(validationOf(undefined)).toBeUndefined();
    expect(validationOf(data)).toEqual({ data, everySteps: null });
    expect(validationOf({ data, everySteps: 0 })).toEqual({ data, everySteps: null });
    expect(validationOf({ data, everySteps: 10 })).toEqual({ data, everySteps: 10 });
    for (const everySteps of [-1, 1.5, NaN]) {
      expect(() => validationOf({ data, everySteps })).toThrow(
        "validation.everySteps is an integer number of steps",
      );
    }
    expect(() => validationOf({ data, everysteps: 1 } as never)).toThrow('did you mean "everySteps"?');
    expect(() => validationOf({ data: 3 } as never)).toThrow("validation is a DataLoader or a BatchSource");
    expect(() => validationOf({ data: { ...source(1, () => 0), exampleCount: 0 } })).toThrow(RangeError);
  });

  test("is due when it beats what was saved and what is being saved", () => {
    const saver = new AutoSaver({ keep: { best: "val_loss" } }, ["epoch", "step", "val_loss"]);
    expect(saver.isEnabled).toBe(true);
    const isDue = (value: number, underWay = Infinity) =>
      saver.isDueAfterValidation(
        { val_loss: value },
        underWay === Infinity ? null : { metric: "val_loss", direction: "min", value: underWay, step: 1 },
      );
    expect(isDue(2)).toBe(true);
    saver.onSaved("a", 1, { val_loss: 2 });
    expect([isDue(2), isDue(1.9), isDue(1.9, 1), isDue(NaN), isDue(-Infinity)]).toEqual([
      false,
      true,
      false,
      false,
      false,
    ]);
    saver.configure({ savePath: null });
    expect(isDue(0)).toBe(false);
  });

  gpuTest("that is empty is refused by the trainer", async (gpu) => {
    const data = { ...source(1, () => 0), exampleCount: 0 };
    const error = await thrownBy(() =>
      withTrainer(gpu, smallRun({ validation: { data, everySteps: 2 } }), () => Promise.resolve())
    );
    expect(error.message).toContain("The validation data has no examples");
  }, 30_000);
});
