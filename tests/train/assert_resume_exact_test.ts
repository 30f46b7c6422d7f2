import { describe, expect } from "bun:test";
import type { BatchSource } from "../../src/data/batch_source.ts";
import { batchNorm, linear, sequential } from "../../src/nn/nn.ts";
import { ema, muon, scheduleFreeAdamw, sgd } from "../../src/nn/optim/optim.ts";
import { assertResumeExact } from "../../src/train/assert_resume_exact.ts";
import type { TrainerOptions } from "../../src/train/trainer.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { BATCH, blobs, CLASSES, engineOn, FEATURES, HIDDEN, smallRun, withTrainer } from "./fixtures.ts";

const normed = sequential(linear(FEATURES, HIDDEN), batchNorm(HIDDEN), linear(HIDDEN, CLASSES));
const RUNS: Readonly<Record<string, Partial<TrainerOptions>>> = {
  "adamw and dropout": {},
  "momentum and running statistics": {
    model: normed,
    optimizer: sgd({ learningRate: 0.05, momentum: 0.9 }),
  },
  "an average of weights": { optimizer: ema(sgd({ learningRate: 0.05 }), { decay: 0.9 }) },
  "schedule-free adamw": { optimizer: scheduleFreeAdamw({ learningRate: 0.01 }) },
  "muon, in pieces of a batch": { optimizer: muon({ learningRate: 0.01 }), microBatchSize: BATCH / 2 },
};

describe("assertResumeExact", () => {
  for (const [name, overrides] of Object.entries(RUNS)) {
    gpuTest(
      `XT-01 finds that ${name} go on with the same bits, and leaves the run as it was`,
      async (gpu) => {
        await withTrainer(gpu, smallRun(overrides), async ({ trainer, tensors }) => {
          const state = async () => ({
            tensors: await tensors(),
            step: trainer.step,
            losses: trainer.history.loss,
            parent: trainer.run.parent,
            resumedFrom: trainer.run.resumedFrom,
          });
          await trainer.train({ steps: 3, progress: false });
          const before = await state();
          await assertResumeExact(trainer, { steps: 5 });
          expect(await state()).toEqual(before);
        });
      },
    );
  }

  gpuTest("XT-01 finds data that is no function of what is asked for, and names a tensor", async (gpu) => {
    const loader = blobs(59, { batchSize: BATCH, dropLast: true });
    let asked = 0;
    const data: BatchSource = {
      batchSize: BATCH,
      exampleCount: 56,
      inputs: loader.inputs,
      labels: loader.labels,
      batchAt: (request) => loader.batchAt({ ...request, position: asked++ % 7 }),
    };
    await withTrainer(gpu, smallRun({ data }), async ({ trainer, tensors }) => {
      await trainer.train({ steps: 1, progress: false });
      const before = await tensors();
      const error = await thrownBy(() => assertResumeExact(trainer, { steps: 3 }));
      expect(error).toMatchObject({ code: "state_mismatch", details: { tensor: "model.0.weight" } });
      expect(error.message).toContain("6 steps and 3, a save, a load and 3 more differ in");
      expect([trainer.step, await tensors()]).toEqual([1, before]);
    });
  });

  gpuTest(
    "XT-01 refuses a run that saves by itself, and stops at a signal with the run put back",
    async (gpu) => {
      await withTrainer(gpu, smallRun(), async ({ trainer }) => {
        const signal = AbortSignal.abort(new Error("enough"));
        const stopped = await thrownBy(() => assertResumeExact(trainer, { signal }));
        expect([stopped.message, trainer.step]).toEqual(["enough", 0]);
        expect(await thrownBy(() => assertResumeExact(trainer, { steps: 0 }))).toBeInstanceOf(RangeError);
        trainer.autoSave({ savePath: await engineOn(), interval: 1 });
        const error = await thrownBy(() => assertResumeExact(trainer));
        expect(error.message).toContain("call it before autoSave()");
      });
    },
  );
});
