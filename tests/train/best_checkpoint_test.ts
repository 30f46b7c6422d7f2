import { describe, expect } from "bun:test";
import { FileEngine } from "../../src/checkpoint/engine/file_engine.ts";
import type { Storage } from "../../src/storage/storage.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import type { TrainReport } from "../../src/train/train_options.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { engineOn, smallRun, withTrainer } from "./fixtures.ts";

async function tagsIn(storage: Storage): Promise<string[]> {
  return await (await FileEngine.open(storage)).list();
}

describe("the best checkpoint", () => {
  gpuTest(
    "NN-17 its score survives a resume: a worse epoch of the next process does not take its place",
    async (gpu) => {
      const storage = new MemoryStorage();
      // The loss goes down, so that by the highest one the first epoch stays the best.
      const train = (epochs: number): Promise<TrainReport> =>
        withTrainer(gpu, smallRun(), async ({ trainer }) => {
          trainer.autoSave({
            interval: 1,
            name: "e{epoch}",
            savePath: await engineOn(storage),
            keep: { last: 1, best: { metric: "loss", direction: "max" } },
          });
          await trainer.resume();
          const report = await trainer.train({ epochs, progress: false });
          const losses = trainer.history.epochs.map(({ metrics }) => metrics.loss ?? NaN);
          expect(losses.indexOf(Math.max(...losses))).toBe(0);
          return report;
        });
      await train(2);
      expect(await tagsIn(storage)).toEqual(["e1", "e2"]);
      const report = await train(4);
      // The one that the run was resumed from is kept besides.
      expect(await tagsIn(storage)).toEqual(["e1", "e2", "e4"]);
      expect(report.saves.map(({ tag }) => tag)).toEqual(["e3", "e4"]);
      const decisions = report.saves.at(-1)?.report.retention?.decisions ?? [];
      expect(decisions.find(({ tag }) => tag === "e1")).toEqual({
        tag: "e1",
        keeps: true,
        reason: "it has the best loss",
      });
      await train(5);
      expect(await tagsIn(storage)).toEqual(["e1", "e4", "e5"]);
    },
  );

  gpuTest(
    "NN-17 a direction or a metric that the run does not know is refused, or leniently a warning",
    async (gpu) => {
      await withTrainer(gpu, smallRun(), ({ trainer }) => {
        const wrong: [object, string][] = [
          [
            { best: { metric: "loss", direction: "up" } },
            'keep.best has the direction "min" or "max", found up',
          ],
          [{ best: "val_loss" }, 'keep.best is "val_loss", which this run never measures'],
        ];
        for (const [keep, message] of wrong) {
          expect(() => trainer.autoSave({ interval: 1, keep })).toThrow(message);
          const warnings: string[] = [];
          trainer.autoSave({ interval: 1, keep }, (warning) => warnings.push(warning));
          expect(warnings.length).toBe(1);
          expect(warnings[0]).toContain(message);
        }
        return Promise.resolve();
      });
    },
  );
});
