import { describe, expect, test } from "bun:test";
import type { Batch, BatchRequest, BatchSource } from "../../src/data/batch_source.ts";
import type { HostState } from "../../src/checkpoint/capture/state_types.ts";
import { batchNorm, linear, sequential } from "../../src/nn/nn.ts";
import { ema, scheduleFreeAdamw, sgd } from "../../src/nn/optim/optim.ts";
import type { Callback, CallbackEvent, LossesEvent } from "../../src/train/callbacks/callback.ts";
import { reduceOnPlateau } from "../../src/train/callbacks/reduce_on_plateau.ts";
import { rollbackSettings } from "../../src/train/past/rollback_options.ts";
import type { TrainerOptions } from "../../src/train/trainer.ts";
import { gpuTest, ownGpuTest } from "../helpers/gpu.ts";
import { refuseBuffers } from "../helpers/refuse_buffers.ts";
import { thrownBy } from "../helpers/thrown.ts";
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

/** Adds losses up, and lowers the rates at step 9: what a run keeps beside its tensors. */
class Adding implements Callback {
  readonly name = "adding";
  sum = 0;
  onLosses({ losses }: LossesEvent): void {
    for (const loss of losses) this.sum += loss;
  }
  onStep({ run }: CallbackEvent): void {
    if (run.step === 9) run.scaleLearningRate(0.5);
  }
  state(): HostState {
    return { sums: new Float64Array([this.sum]) };
  }
  loadState(state: HostState): void {
    this.sum = (state as { sums: Float64Array } | undefined)?.sums[0] ?? 0;
  }
}

/** Everything of a run that a checkpoint would have. */
async function wholeOf({ trainer, tensors }: Fixture): Promise<Record<string, unknown>> {
  const { walltime: _, ...state } = trainer.run.state(null);
  return {
    ...state,
    tensors: await tensors(),
    losses: trainer.history.loss,
    terms: trainer.history.terms,
    parent: trainer.run.parent,
  };
}

const RUNS: Readonly<Record<string, Partial<TrainerOptions>>> = {
  "adamw and dropout": {},
  "momentum and running statistics": {
    model: sequential(linear(FEATURES, HIDDEN), batchNorm(HIDDEN), linear(HIDDEN, CLASSES)),
    optimizer: sgd({ learningRate: 0.05, momentum: 0.9 }),
  },
  "an average of weights, clipped": {
    optimizer: ema(sgd({ learningRate: 0.05 }), { decay: 0.9 }),
    clipGradients: { norm: 1 },
  },
  "schedule-free adamw": { optimizer: scheduleFreeAdamw({ learningRate: 0.01 }) },
};

describe("Trainer.rollback", () => {
  for (const [name, overrides] of Object.entries(RUNS)) {
    gpuTest(`XT-02 rollback of ${name} is what the run was, and goes on with the same bits`, async (gpu) => {
      const options = () =>
        smallRun({
          ...overrides,
          rollback: { last: 4 },
          validation: blobs(21, { batchSize: BATCH }),
          callbacks: [new Adding(), reduceOnPlateau({ patience: 1, minDelta: 1, factor: 0.5 })],
        });
      await withTrainer(gpu, options(), async (other) => {
        await other.trainer.train({ steps: 13, ...QUIET });
        const atThirteen = await other.tensors();
        const { loss } = other.trainer.history;
        const epochs = [...other.trainer.history.epochs];
        await other.trainer.train({ steps: 24, ...QUIET });
        const atEnd = await wholeOf(other);
        await withTrainer(gpu, options(), async (made) => {
          const { trainer } = made;
          await trainer.train({ steps: 16, ...QUIET });
          expect(await trainer.rollback(3)).toBe(13);
          expect([trainer.step, trainer.history.loss, trainer.history.epochs]).toEqual([13, loss, epochs]);
          expect(await made.tensors()).toEqual(atThirteen);
          await trainer.train({ steps: 17, ...QUIET });
          // Over the end of an epoch, and twice to the same step.
          expect(await trainer.rollback(4)).toBe(13);
          expect(await made.tensors()).toEqual(atThirteen);
          await trainer.train({ steps: 24, ...QUIET });
          expect(await wholeOf(made)).toEqual(atEnd);
        });
      });
    });
  }

  gpuTest(
    "XT-02 rollback gives the newest state that is as far back, and names those there are",
    async (gpu) => {
      await withTrainer(
        gpu,
        smallRun({ rollback: { last: 3, everySteps: 5 } }),
        async ({ trainer, tensors }) => {
          const none = await thrownBy(() => trainer.rollback());
          expect(none).toBeInstanceOf(RangeError);
          expect(none.message).toContain("none is kept");
          await trainer.train({ steps: 12, ...QUIET });
          const before = await tensors();
          const error = await thrownBy(() => trainer.rollback(13));
          expect(error).toBeInstanceOf(RangeError);
          expect(error.message).toContain(
            "Cannot go back 13 steps from step 12: there are states of the steps 0, 5, 10",
          );
          expect([trainer.step, await tensors()]).toEqual([12, before]);
          expect(await trainer.rollback(3)).toBe(5);
          expect(await trainer.rollback()).toBe(0);
          await trainer.train({ steps: 12, ...QUIET });
          expect(await tensors()).toEqual(before);
          await trainer.train({ steps: 33, ...QUIET });
          // One where a training begins, though not every one of the same step.
          expect((await thrownBy(() => trainer.rollback(30))).message).toContain("the steps 20, 25, 30");
        },
      );
    },
  );

  gpuTest("XT-02 rollback is of the weights as they were when a training began at that step", async (gpu) => {
    await withTrainer(gpu, smallRun({ rollback: { last: 2 } }), async ({ trainer, store, tensors }) => {
      await trainer.train({ steps: 3, ...QUIET });
      await trainer.rollback();
      store.write({ "model.0.bias": new Float32Array(HIDDEN).fill(0.25) });
      const written = await tensors();
      await trainer.train({ steps: 3, ...QUIET });
      await trainer.rollback();
      expect(await tensors()).toEqual(written);
    });
  });

  gpuTest(
    "XT-02 rollback after a step that was not finite, however many steps later that is heard of",
    async (gpu) => {
      const inner = blobs(56, { batchSize: BATCH });
      let isSpoiled = true;
      const data: BatchSource = {
        batchSize: BATCH,
        exampleCount: 56,
        inputs: inner.inputs,
        labels: inner.labels,
        batchAt(request: BatchRequest): Batch {
          const batch = inner.batchAt(request);
          if (isSpoiled && request.epoch * 7 + request.position === 40) {
            (batch.inputs as Float32Array)[3] = NaN;
          }
          return batch;
        },
      };
      await withTrainer(gpu, smallRun({ data, rollback: { last: 3 } }), async ({ trainer, tensors }) => {
        const error = await thrownBy(() => trainer.train({ steps: 200, ...QUIET }));
        expect([(error as { code?: string }).code, trainer.step]).toEqual(["non_finite", 40]);
        const step = await trainer.rollback(2);
        expect(step).toBeLessThanOrEqual(38);
        expect([trainer.step, trainer.history.length, trainer.history.skipped]).toEqual([step, step, []]);
        isSpoiled = false;
        await trainer.train({ steps: 50, ...QUIET });
        const after = await tensors();
        await withTrainer(gpu, smallRun({ data }), async (other) => {
          await other.trainer.train({ steps: 50, ...QUIET });
          expect(after).toEqual(await other.tensors());
        });
      });
    },
  );

  gpuTest(
    "XT-02 rollback after a callback saw the loss leap, with a lower rate from there on",
    async (gpu) => {
      let isOver = false;
      const leap: Callback = {
        name: "leap",
        onStep: ({ run, stop }) => {
          if (run.step === 10 && !isOver) stop("the loss leapt");
        },
        onStart: ({ run }) => {
          if (isOver) run.scaleLearningRate(0.1);
        },
      };
      const options = smallRun({ callbacks: [leap], rollback: { last: 2, everySteps: 4 } });
      await withTrainer(gpu, options, async ({ trainer }) => {
        const { stoppedBy } = await trainer.train({ steps: 20, ...QUIET });
        expect(stoppedBy).toEqual({ callback: "leap", reason: "the loss leapt" });
        expect(await trainer.rollback(5)).toBe(4);
        isOver = true;
        await trainer.train({ steps: 20, ...QUIET });
        expect([4, 3].map((step) => trainer.run.learningRateAt(step))).toEqual([0.002, 0.02]);
      });
    },
  );

  gpuTest("XT-02 rollback makes buffers once, and none is left when the trainer is closed", async (gpu) => {
    const before = gpu.counters.buffers;
    await withTrainer(gpu, smallRun({ rollback: { last: 2 } }), async ({ trainer, store }) => {
      await trainer.train({ steps: 2, ...QUIET });
      const { buffersCreated } = gpu.counters;
      await trainer.train({ steps: 8, ...QUIET });
      await trainer.rollback(2);
      await trainer.train({ steps: 10, ...QUIET });
      expect(gpu.counters.buffersCreated).toBe(buffersCreated);
      await trainer.close();
      expect(gpu.counters.buffers - before).toBe(store.stats().slabs);
    });
  });

  gpuTest("XT-02 rollback does not go into the past of a run that was loaded since", async (gpu) => {
    await withTrainer(gpu, smallRun({ rollback: { last: 9 } }), async ({ trainer }) => {
      trainer.autoSave({ savePath: await engineOn(), everySteps: 3 });
      await trainer.train({ steps: 8, ...QUIET });
      await trainer.load(6);
      expect((await thrownBy(() => trainer.rollback())).message).toContain("none is kept");
      await trainer.train({ steps: 9, ...QUIET });
      expect(await trainer.rollback(3)).toBe(6);
      expect(trainer.run.parent).toMatch(/./);
    });
  });

  ownGpuTest("XT-02 rollback without room for the copies says how much they need", async (gpu) => {
    refuseBuffers(gpu.device, /^copy 2 of model slab/);
    await withTrainer(gpu, smallRun({ rollback: { last: 3 } }), async ({ trainer, store }) => {
      const error = await thrownBy(() => trainer.train({ steps: 1, ...QUIET }));
      const { bytes } = store.stats();
      expect(error).toMatchObject({ code: "out_of_memory", details: { value: 3 * bytes } });
      expect(error.message).toContain(`rollback: { last: 3 } needs ${3 * bytes} bytes on the GPU`);
      expect(trainer.step).toBe(0);
    });
  });

  gpuTest("XT-02 rollback without the option, or by no number of steps, is refused", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      await trainer.train({ steps: 1, ...QUIET });
      expect((await thrownBy(() => trainer.rollback())).message).toContain("rollback: { last: 4 }");
      for (const steps of [0, -1, 1.5, NaN]) {
        expect(await thrownBy(() => trainer.rollback(steps))).toBeInstanceOf(RangeError);
      }
    });
  });

  test("XT-02 rollback's options are checked", () => {
    expect(rollbackSettings(undefined)).toBeUndefined();
    expect(rollbackSettings({ last: 2 })).toEqual({ last: 2, everySteps: 1 });
    expect(() => rollbackSettings({ last: 0 })).toThrow("last of rollback is an integer from 1, found 0");
    expect(() => rollbackSettings({ last: 2, everySteps: 0.5 })).toThrow("everySteps of rollback");
    expect(() => rollbackSettings({ last: 2, every: 3 } as never)).toThrow("every");
  });
});
