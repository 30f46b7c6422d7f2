import { describe, expect } from "bun:test";
import type { CallbackEvent } from "../../src/train/callbacks/callback.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { engineOn, smallRun, withTrainer } from "./fixtures.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";

const QUIET = { progress: false } as const;

describe("the totals of a run", () => {
  gpuTest(
    "TR-04 trains up to a step, within an epoch and beyond, with the bits of whole epochs",
    async (gpu) => {
      const whole = await withTrainer(gpu, smallRun(), async ({ trainer, tensors }) => {
        await trainer.train({ epochs: 2, ...QUIET });
        return await tensors();
      });
      await withTrainer(gpu, smallRun(), async ({ trainer, tensors }) => {
        const first = await trainer.train({ steps: 5, ...QUIET });
        expect([first.steps, first.endedBy, trainer.step, trainer.epoch]).toEqual([5, "end", 5, 0]);
        // Totals, so that the steps before count.
        expect((await trainer.train({ steps: 9, ...QUIET })).steps).toBe(4);
        expect((await trainer.train({ epochs: 2, ...QUIET })).steps).toBe(5);
        expect(await tensors()).toEqual(whole);
        expect(trainer.history.epochs.map(({ step }) => step)).toEqual([7, 14]);
      });
    },
  );

  gpuTest("TR-04 ends at whichever total comes first, and tells the progress which", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const seen: number[][] = [];
      const progress = {
        name: "progress",
        onStart: ({ run: { progress: { totalSteps, totalEpochs } } }: CallbackEvent) =>
          void seen.push([totalSteps, totalEpochs]),
      };
      await trainer.train({ epochs: 1, steps: 10, progress });
      expect(trainer.step).toBe(7);
      await trainer.train({ epochs: 3, steps: 10, progress });
      expect(trainer.step).toBe(10);
      expect(seen).toEqual([[7, 1], [10, 2]]);
    });
  });

  gpuTest("TR-04 a call with nothing left does no step and warns of the total", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      await trainer.train({ epochs: 1, ...QUIET });
      const heard: string[] = [];
      const onWarning = (message: string): void => void heard.push(message);
      const epochs = await trainer.train({ epochs: 1, onWarning, ...QUIET });
      const steps = await trainer.train({ epochs: 5, steps: 6, onWarning, ...QUIET });
      expect([epochs.steps, epochs.endedBy, steps.steps, steps.endedBy]).toEqual([0, "end", 0, "end"]);
      expect(heard).toEqual([
        "There was nothing left to train: epochs: 1 is a total of the run, which has done 1; " +
        "give a larger one to go on",
        "There was nothing left to train: steps: 6 is a total of the run, which has done 7; " +
        "give a larger one to go on",
      ]);
      expect([...epochs.warnings, ...steps.warnings]).toEqual(heard);
    });
  });

  gpuTest("TR-04 refuses a call without a total, and an invalid total", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const none = await thrownBy(() => trainer.train({ ...QUIET }));
      expect([none instanceof TypeError, none.message]).toEqual([
        true,
        "train() needs a total of the run: give it epochs, steps or both, as in { epochs: 10 }",
      ]);
      for (const steps of [-1, 1.5, NaN]) {
        const error = await thrownBy(() => trainer.train({ steps, ...QUIET }));
        expect([error instanceof RangeError, error.message]).toEqual([
          true,
          `steps is an integer from 0, found ${steps}`,
        ]);
      }
    });
  });
});

describe("stopping a training", () => {
  gpuTest("TR-04 ends at the next step, saves it, and goes on from there with the same bits", async (gpu) => {
    const undisturbed = await withTrainer(gpu, smallRun(), async ({ trainer, tensors }) => {
      await trainer.train({ epochs: 2, ...QUIET });
      return await tensors();
    });
    const storage = new MemoryStorage();
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
      const onStep = ({ step }: { step: number }): void => {
        if (step === 4) trainer.stop();
      };
      const report = await trainer.train({ epochs: 2, onStep, ...QUIET });
      expect([report.steps, report.endedBy, report.exitCode]).toEqual([4, "stop", 0]);
      expect(report.saves.map(({ step }) => step)).toEqual([4]);
      expect(trainer.history.loss).toHaveLength(4);
    });
    await withTrainer(gpu, smallRun(), async ({ trainer, tensors }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
      await trainer.resume();
      expect(trainer.step).toBe(4);
      await trainer.train({ epochs: 2, ...QUIET });
      expect(await tensors()).toEqual(undisturbed);
    });
  });

  gpuTest("TR-04 at the last step it is the end, and without a training it does nothing", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.stop();
      const onStep = ({ step }: { step: number }): void => {
        if (step === 7) trainer.stop();
      };
      const report = await trainer.train({ epochs: 1, onStep, ...QUIET });
      expect([report.steps, report.endedBy, trainer.history.epochs.length]).toEqual([7, "end", 1]);
      expect((await trainer.train({ epochs: 2, ...QUIET })).steps).toBe(7);
    });
  });

  gpuTest("TR-04 a total of steps within an epoch is saved as the end of a run is", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn() });
      const { saves } = await trainer.train({ steps: 9, ...QUIET });
      expect(saves.map(({ step }) => step)).toEqual([7, 9]);
      trainer.autoSave({ saveOnLastEpoch: false });
      expect((await trainer.train({ steps: 11, ...QUIET })).saves).toEqual([]);
    });
  });
});
