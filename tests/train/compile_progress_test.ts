import { describe, expect } from "bun:test";
import type { WorkProgress } from "../../src/base/work.ts";
import { adamw, ema } from "../../src/nn/optim/optim.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { gpuTest, ownGpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { blobs, smallRun, withTrainer } from "./fixtures.ts";

describe("compiling before the first step", () => {
  ownGpuTest("TR-07 train() tells of every kernel, before the first step and once", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const told: WorkProgress[] = [];
      const events: string[] = [];
      const progress = {
        name: "progress",
        onCompile: ({ done, total }: WorkProgress) => void events.push(`compile ${done}/${total}`),
        onStart: () => void events.push("start"),
      };
      const onStep = () => void events.push("step");
      await trainer.train({ steps: 2, progress, onStep, onCompile: (each) => told.push(each) });
      const { total = 0 } = told.at(-1) ?? {};
      expect(total).toBeGreaterThan(5);
      expect(told.at(-1)).toEqual({ done: total, total });
      expect(told.map(({ done }) => done)).toEqual(Array.from({ length: total + 1 }, (_, done) => done));
      expect(events.slice(0, told.length)).toEqual(
        told.map(({ done, total }) => `compile ${done}/${total}`),
      );
      expect(events.slice(told.length)).toEqual(["start", "step", "step"]);
      told.length = 0;
      await trainer.train({ steps: 4, progress: false, onCompile: (each) => told.push(each) });
      expect(told).toEqual([]);
    });
  });

  gpuTest("TR-07 train() tells of the kernels of all sizes of batches together", async (gpu) => {
    const data = blobs(11, { batchSize: 8 });
    await withTrainer(gpu, smallRun({ data }), async ({ trainer }) => {
      const told: WorkProgress[] = [];
      await trainer.train({ steps: 1, progress: false, onCompile: (each) => told.push(each) });
      const { programs } = await trainer.explain({ times: false });
      const { done = 0, total = 0 } = told.at(-1) ?? {};
      expect(programs).toHaveLength(2);
      expect([done, total]).toEqual([total, programs.reduce((sum, { pipelines }) => sum + pipelines, 0)]);
    });
  });

  gpuTest("what onCompile throws ends the training", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const problem = new Error("enough");
      const onCompile = () => {
        throw problem;
      };
      expect(await thrownBy(() => trainer.train({ steps: 1, progress: false, onCompile }))).toBe(problem);
    });
  });
});

describe("a trainer that is closed while it predicts or evaluates", () => {
  const data = blobs(8, { batchSize: 8 });
  const { inputs } = data.batchAt({ seed: 0, epoch: 0, position: 0 });
  const rows = Array.from(
    { length: 8 },
    (_, row) => [...(inputs as Float32Array).subarray(6 * row, 6 * row + 6)],
  );

  /** How the calls of `work` end. A program that nobody frees fails the test. */
  async function endsOf(
    trainer: Trainer,
    work: readonly Promise<unknown>[],
    close: () => Promise<void>,
  ): Promise<string[]> {
    const ends = Promise.allSettled(work);
    await close();
    await trainer.close();
    return (await ends).map((end) =>
      end.status === "rejected" ? (end.reason as { code?: string }).code ?? "" : "done"
    );
  }

  gpuTest("compiles nothing behind it, wherever the call stands", async (gpu) => {
    // An average, so that both calls first ask the GPU whether there was an update.
    const optimizer = ema(adamw({ learningRate: 0.01 }), { decay: 0.9 });
    for (const ahead of [0, 1, 3, 8, 20, 60]) {
      const store = TensorStore.on(gpu);
      const trainer = new Trainer(store, smallRun({ data, optimizer }));
      await trainer.findNonFinite();
      const work = [trainer.evaluate(data), trainer.predict(rows)];
      const ends = await endsOf(trainer, work, async () => {
        for (let turn = 0; turn < ahead; turn++) await Promise.resolve();
      });
      expect(ends).toEqual(["closed", "closed"]);
      await store.close();
    }
  });

  gpuTest("ends what waits its turn, too", async (gpu) => {
    const store = TensorStore.on(gpu);
    const trainer = new Trainer(store, smallRun({ data }));
    let closing: Promise<void> | undefined;
    const onProgress = () => void (closing ??= trainer.close());
    const work = [
      trainer.predict(rows, { batchSize: 4, onProgress }),
      trainer.predict(rows, { batchSize: 4 }),
    ];
    const ends = await endsOf(trainer, work, async () => {
      await work[0]?.catch(() => undefined);
      await closing;
    });
    expect(ends).toEqual(["closed", "closed"]);
    await store.close();
  });
});
