import { describe, expect } from "bun:test";
import { adamw } from "../../src/nn/optim/optim.ts";
import { firstDifference } from "../../src/train/first_difference.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { smallRun, withTrainer } from "./fixtures.ts";

describe("firstDifference", () => {
  gpuTest("XT-04 finds none between two runs of the same", async (gpu) => {
    await withTrainer(gpu, smallRun(), async (a) => {
      await withTrainer(gpu, smallRun(), async (b) => {
        const seen: number[] = [];
        const onProgress = ({ done }: { readonly done: number }): void => void seen.push(done);
        expect(await firstDifference(a.trainer, b.trainer, { steps: 4, onProgress })).toBeUndefined();
        expect([a.trainer.step, b.trainer.step, seen]).toEqual([4, 4, [0, 1, 2, 3, 4]]);
      });
    });
  });

  gpuTest("XT-04 names the step, the tensor and the element where a rate changes", async (gpu) => {
    const rate = (last: number) => (step: number): number => (step < 3 ? 0.02 : last);
    const run = (last: number) => smallRun({ optimizer: adamw({ learningRate: rate(last) }) });
    await withTrainer(gpu, run(0.02), async (a) => {
      await withTrainer(gpu, run(0.03), async (b) => {
        const found = await firstDifference(a.trainer, b.trainer, { steps: 9 });
        expect(found).toMatchObject({ step: 4, tensor: "model.0.weight", index: 0 });
        const [ours, theirs] = found?.values ?? [];
        expect(ours).not.toBe(theirs);
      });
    });
  });

  gpuTest("XT-04 names a tensor that differs from the beginning, by its bits", async (gpu) => {
    await withTrainer(gpu, smallRun(), async (a) => {
      await withTrainer(gpu, smallRun(), async (b) => {
        for (const { trainer } of [a, b]) await trainer.train({ steps: 1, progress: false });
        a.store.write({ "model.3.bias": [1, 0, 2] });
        b.store.write({ "model.3.bias": [1, -0, 3] });
        expect(await firstDifference(a.trainer, b.trainer)).toEqual({
          step: 1,
          tensor: "model.3.bias",
          index: 1,
          values: [0, -0],
        });
      });
    });
  });

  gpuTest("XT-04 refuses runs at different steps", async (gpu) => {
    await withTrainer(gpu, smallRun(), async (a) => {
      await withTrainer(gpu, smallRun(), async (b) => {
        await b.trainer.train({ steps: 2, progress: false });
        const error = await thrownBy(() => firstDifference(a.trainer, b.trainer));
        expect(error.message).toContain("they are at 0 and 2");
      });
    });
  });
});
