import { describe, expect } from "bun:test";
import type { BatchRequest, BatchSource } from "../../src/data/batch_source.ts";
import { dropout, linear, sequential } from "../../src/nn/nn.ts";
import { adamw } from "../../src/nn/optim/optim.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import type { TrainerOptions } from "../../src/train/trainer.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { engineOn, withTrainer } from "./fixtures.ts";
import {
  bitsOf,
  FEATURES,
  loaderOf,
  nearby,
  planeOf,
  planeRun,
  points,
  referenceStep,
  TARGETS,
  withPlane,
} from "./reference/weighted_line.ts";

const QUIET = { progress: false } as const;
const BATCH = 8;
const COUNT = 19;
const DATA = points(COUNT, (row, column) => (row + column) % 4 !== 0);

/** 19 examples in batches of 8: two whole ones and one of 3. */
function shuffledRun(dropLast?: boolean): TrainerOptions {
  return planeRun(loaderOf(DATA, { batchSize: BATCH, shuffle: true, dropLast }), {
    model: sequential(linear(FEATURES, 4), dropout(0.25), linear(4, TARGETS)),
    optimizer: adamw({ learningRate: 0.02 }),
  });
}

describe("a last batch that is smaller than the others", () => {
  gpuTest("DA-02 is trained on at its own size, as in float64", async (gpu) => {
    await withPlane(gpu, planeRun(loaderOf(DATA, { batchSize: BATCH })), async (trainer, store) => {
      await trainer.evaluate(loaderOf(DATA, { batchSize: BATCH }));
      const plane = await planeOf(store);
      const report = await trainer.train({ epochs: 2, ...QUIET });
      expect([report.steps, trainer.epoch]).toEqual([6, 2]);
      const losses = Array.from({ length: 6 }, (_, step) => {
        const from = step % 3 * BATCH;
        return referenceStep(DATA, plane, from, Math.min(COUNT, from + BATCH));
      });
      nearby(trainer.history.loss, losses, 1e-5);
      nearby((await planeOf(store)).weight, plane.weight, 1e-5);
    });
  });

  gpuTest("DA-02 is asked for as it is, and nothing is padded", async (gpu) => {
    const inner = loaderOf(DATA, { batchSize: BATCH });
    const asked: [epoch: number, position: number][] = [];
    const source: BatchSource = {
      batchSize: BATCH,
      exampleCount: COUNT,
      inputs: inner.inputs,
      labels: inner.labels,
      batchAt(request: BatchRequest) {
        asked.push([request.epoch, request.position]);
        return inner.batchAt(request);
      },
    };
    await withPlane(gpu, planeRun(source), async (trainer) => {
      await trainer.train({ epochs: 2, ...QUIET });
      expect(asked).toEqual([[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]);
    });
    const short: BatchSource = {
      ...source,
      batchAt: (request) => inner.batchAt({ ...request, position: 0 }),
    };
    await withPlane(gpu, planeRun(short), async (trainer) => {
      const error = await thrownBy(() => trainer.train({ epochs: 1, ...QUIET }));
      expect([error.code, trainer.step]).toEqual(["short_batch", 2]);
      expect(error.message).toContain("Batch 2 of epoch 1 is too long: its inputs hold 8 examples");
    });
  });

  gpuTest("DA-02 is left out by dropLast, and all there is may be one such batch", async (gpu) => {
    await withPlane(gpu, shuffledRun(true), async (trainer) => {
      expect((await trainer.train({ epochs: 3, ...QUIET })).steps).toBe(6);
    });
    const few = planeRun(loaderOf(points(5, () => true), { batchSize: BATCH }));
    await withPlane(gpu, few, async (trainer) => {
      expect((await trainer.train({ epochs: 3, ...QUIET })).steps).toBe(3);
    });
    const none = planeRun(loaderOf(points(5, () => true), { batchSize: BATCH, dropLast: true }));
    const error = await thrownBy(() => withPlane(gpu, none, () => Promise.resolve()));
    expect(error.message).toContain(
      "5 examples do not fill one batch of 8, and dropLast leaves out what does not",
    );
  });

  gpuTest("DA-02 changes no bit of a resumed run, wherever the run was cut", async (gpu) => {
    const run = async (cuts: readonly number[]): Promise<unknown> => {
      const storage = new MemoryStorage();
      for (const cut of cuts) {
        await withPlane(gpu, shuffledRun(), async (trainer) => {
          trainer.autoSave({ everySteps: 1, savePath: await engineOn(storage), keep: { last: 1 } });
          await trainer.resume();
          const stop = new AbortController();
          const onStep = ({ step }: { step: number }): void =>
            step === cut ? stop.abort(new Error("cut")) : undefined;
          await thrownBy(() => trainer.train({ epochs: 4, ...QUIET, signal: stop.signal, onStep }));
          expect(trainer.step).toBe(cut);
        });
      }
      return await withPlane(gpu, shuffledRun(), async (trainer, store) => {
        trainer.autoSave({ savePath: await engineOn(storage) });
        await trainer.resume();
        await trainer.train({ epochs: 4, ...QUIET });
        const { loss, terms, epochs } = trainer.history;
        return [trainer.step, [...loss], [...terms["data.weight"] ?? []], epochs, await bitsOf(store)];
      });
    };
    const undisturbed = await run([]);
    expect(await run([2, 3, 5, 7])).toEqual(undisturbed);
  });

  gpuTest(
    "DA-02 stays out of a run that was begun without it, unless that is allowed",
    async (gpu) => {
      const storage = new MemoryStorage();
      const begun = await withTrainer(gpu, shuffledRun(true), async ({ trainer }) => {
        trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
        await trainer.train({ epochs: 1, ...QUIET });
        await trainer.train({ epochs: 3, ...QUIET });
        return [...trainer.history.loss];
      });
      const resumed = async (dropLast: boolean | undefined, allow: readonly "data"[] = []) =>
        await withTrainer(gpu, shuffledRun(dropLast), async ({ trainer }) => {
          trainer.autoSave({ savePath: await engineOn(storage) });
          await trainer.load("model_epoch01");
          const { warnings } = await trainer.resume({ allow });
          await trainer.load("model_epoch01");
          const { steps } = await trainer.train({ epochs: 3, ...QUIET });
          return { warnings, steps, losses: [...trainer.history.loss] };
        });
      const silent = await resumed(undefined);
      expect([silent.steps, silent.losses]).toEqual([4, begun]);
      expect(silent.warnings).toEqual([
        "The run goes on as it was begun, without the last 3 examples of each epoch, which fill no batch: say " +
        'dropLast: true to keep that, or dropLast: false with resume({ allow: ["data"] }) to train on them from here on',
      ]);
      const said = await resumed(true);
      expect([said.warnings, said.losses]).toEqual([[], begun]);
      await withTrainer(gpu, shuffledRun(false), async ({ trainer }) => {
        trainer.autoSave({ savePath: await engineOn(storage) });
        const error = await thrownBy(() => trainer.resume());
        expect(error.message).toContain("its run has batchesPerEpoch 2, this one 3");
        const { step } = await trainer.resume({ allow: ["data"] });
        expect(step).toBe(6);
        expect((await trainer.train({ epochs: 4, ...QUIET })).steps).toBe(3);
      });
    },
  );
});
