import { describe, expect } from "bun:test";
import { l2Penalty } from "../../../src/nn/nn.ts";
import { type Optimizer, sgd } from "../../../src/nn/optim/optim.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import type { ClipGradientsOptions } from "../../../src/train/step/clip_gradients.ts";
import type { TrainerOptions } from "../../../src/train/trainer.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { expectClose } from "../../kernels/numbers.ts";
import { sgdTwin } from "../../kernels/twins/optimizer_twins.ts";
import { gradientOf, runOf, SHAPES, trained, twinOf } from "../../nn/optim/given_gradients.ts";
import { engineOn, smallRun, withTrainer } from "../fixtures.ts";

const TOLERANCE = { absolute: 2e-6, relative: 2e-6 };

/** The norm of all gradients of step `step`, in float64. */
function normOf(step: number): number {
  const all = Object.keys(SHAPES).flatMap((name) => [...gradientOf(name, step)]);
  return Math.sqrt(all.reduce((sum, g) => sum + g * g, 0));
}

const NORMS = Array.from({ length: 20 }, (_, step) => normOf(step));
/** Larger than some and smaller than others. */
const MIDDLE = [...NORMS].sort((a, b) => a - b)[10] ?? NaN;

function clippedRun(clipGradients: ClipGradientsOptions, optimizer: Optimizer = sgd({ learningRate: 0.05 })) {
  return runOf(optimizer, SHAPES, { clipGradients });
}

describe("gradients that are large", () => {
  const cases: readonly [string, ClipGradientsOptions, (gradient: number, step: number) => number][] = [
    [
      "are scaled down to a norm, as clip_grad_norm_ does",
      { norm: MIDDLE },
      (g, step) => g * Math.min(1, MIDDLE / ((NORMS[step] ?? NaN) + 1e-6)),
    ],
    ["are clipped by value", { value: 0.5 }, (g) => Math.max(-0.5, Math.min(0.5, g))],
    [
      "are scaled first and clipped by value then",
      { norm: 3, value: 0.2 },
      (g, step) => Math.max(-0.2, Math.min(0.2, g * Math.min(1, 3 / ((NORMS[step] ?? NaN) + 1e-6)))),
    ],
  ];
  for (const [name, clipGradients, clipped] of cases) {
    gpuTest(`OT-03 ${name}, before momentum and decay have them`, async (gpu) => {
      const hyperparameters = { momentum: 0.9, weightDecay: 0.1 };
      const optimizer = sgd({ learningRate: 0.05, ...hyperparameters });
      const { before, after } = await trained(gpu, clippedRun(clipGradients, optimizer));
      for (const parameter of Object.keys(SHAPES)) {
        const twin = sgdTwin({ lr: 0.05, ...hyperparameters });
        expectClose(after.get(parameter) ?? [], twinOf(twin, parameter, before, SHAPES, clipped), TOLERANCE);
      }
    });
  }

  gpuTest(
    "OT-03 have a norm that is in the history, in every event and in the epoch's metrics",
    async (gpu) => {
      for (const norm of [MIDDLE, Infinity]) {
        await withTrainer(gpu, clippedRun({ norm }), async ({ trainer }) => {
          const told: (number | undefined)[] = [];
          await trainer.train({
            epochs: 1,
            progress: false,
            onStep: ({ terms }) => void told.push(terms.gradient_norm),
          });
          expectClose(trainer.history.terms.gradient_norm ?? [], NORMS, { relative: 1e-6 });
          const mean = NORMS.reduce((sum, each) => sum + each, 0) / NORMS.length;
          const [epoch] = trainer.history.epochs;
          expectClose([epoch?.metrics.gradient_norm ?? NaN], [mean], { relative: 1e-6 });
          // It is no part of the loss.
          const losses = trainer.history.loss.reduce((sum, each) => sum + each, 0) / 20;
          expectClose([epoch?.metrics.loss ?? NaN], [losses], { relative: 1e-6, absolute: 1e-6 });
          expect(told.length).toBe(20);
        });
      }
    },
  );

  gpuTest("OT-03 are not measured where nobody asks", async (gpu) => {
    await withTrainer(gpu, clippedRun({ value: 1 }), async ({ trainer, store }) => {
      await trainer.train({ epochs: 1, progress: false });
      expect(trainer.history.terms).toEqual({});
      expect(store.groups().map(({ name }) => name)).toEqual(["model", "trainer"]);
    });
  });

  gpuTest("OT-03 measuring them changes no bit, and a run resumes with it and without", async (gpu) => {
    const weights = async (options: TrainerOptions, storage: MemoryStorage, epochs: number) =>
      await withTrainer(gpu, options, async (made) => {
        made.trainer.autoSave({ savePath: await engineOn(storage), interval: 1 });
        expect((await made.trainer.resume()).step).toBe(20 * (epochs - 1));
        await made.trainer.train({ epochs, progress: false });
        return (await made.tensors())["model.head.weight"] ?? "none";
      });
    const [measured, plain] = [clippedRun({ norm: Infinity }), runOf(sgd({ learningRate: 0.05 }))];
    const [ofMeasured, ofPlain] = [new MemoryStorage(), new MemoryStorage()];
    expect(await weights(measured, ofMeasured, 1)).toBe(await weights(plain, ofPlain, 1));
    // Each goes on from the other's checkpoint.
    expect(await weights(plain, ofMeasured, 2)).toBe(await weights(measured, ofPlain, 2));
  });

  gpuTest("OT-03 a run that clips them otherwise is another one", async (gpu) => {
    const storage = new MemoryStorage();
    const options = (clipGradients: ClipGradientsOptions): TrainerOptions => smallRun({ clipGradients });
    await withTrainer(gpu, options({ norm: 1 }), async ({ trainer }) => {
      trainer.autoSave({ savePath: await engineOn(storage), interval: 1 });
      await trainer.train({ epochs: 1, progress: false });
    });
    await withTrainer(gpu, options({ norm: 2 }), async ({ trainer }) => {
      trainer.autoSave({ savePath: await engineOn(storage), interval: 1 });
      const { message } = await thrownBy(() => trainer.resume());
      expect(message).toContain("optimizer.clipGradients.norm 1, this one 2");
      expect((await trainer.resume({ allow: ["optimizer"] })).step).toBe(7);
    });
  });

  gpuTest("OT-03 limits that are none, and a term of that name, are refused", async (gpu) => {
    const made = (overrides: Partial<TrainerOptions>) => () =>
      withTrainer(gpu, smallRun(overrides), ({ trainer }) => Promise.resolve(trainer));
    expect((await thrownBy(made({ clipGradients: { norm: 0 } }))).message).toContain(
      "clipGradients.norm is a number",
    );
    expect((await thrownBy(made({ clipGradients: { value: Infinity } }))).message).toContain(
      "clipGradients.value",
    );
    const regularizers = { gradient_norm: l2Penalty(1) };
    const { message } = await thrownBy(made({ clipGradients: { norm: 1 }, regularizers }));
    expect(message).toContain('Two parts of the loss are called "gradient_norm"');
  });
});
