import { describe, expect } from "bun:test";
import type { Engine } from "../../src/checkpoint/engine/engine.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import type { AutoSaveOptions } from "../../src/train/saves/auto_save_options.ts";
import type { Batch, BatchRequest, BatchSource } from "../../src/data/batch_source.ts";
import type { TrainOptions } from "../../src/train/train_options.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { BATCH, blobs, engineOn, FEATURES, smallRun, withTrainer } from "./fixtures.ts";

const QUIET = { progress: false } as const;
const MINE = new Error("mine");

/** The data of the small run, whose batch at a step throws as long as `fails`. */
class Failing implements BatchSource {
  readonly batchSize = BATCH;
  readonly exampleCount = 7 * BATCH;
  readonly inputs = { dtype: "f32", shape: [FEATURES] } as const;
  readonly labels = { dtype: "u32", shape: [] } as const;
  readonly #inner = blobs(7 * BATCH, { batchSize: BATCH, shuffle: true });
  readonly #step: number;

  constructor(step: number) {
    this.#step = step;
  }

  batchAt(request: BatchRequest): Batch {
    if (request.epoch * 7 + request.position === this.#step) throw MINE;
    return this.#inner.batchAt(request);
  }
}

/** What a training that throws leaves behind. */
async function ended(
  gpu: GpuDevice,
  data: BatchSource,
  { training = {}, saving = {}, engine = (made) => made }: {
    training?: Partial<TrainOptions>;
    saving?: AutoSaveOptions;
    engine?: (made: Engine) => Engine;
  } = {},
) {
  const storage = new MemoryStorage();
  const warnings: string[] = [];
  return await withTrainer(gpu, smallRun({ data }), async ({ trainer }) => {
    const savePath = engine(await engineOn(storage));
    trainer.autoSave({ everySteps: 100, name: "e{epoch}", stepName: "s{step}", ...saving, savePath });
    const onWarning = (message: string) => void warnings.push(message);
    const error = await thrownBy(() => trainer.train({ epochs: 3, onWarning, ...QUIET, ...training }));
    return { error, warnings, step: trainer.step, tags: await (await engineOn(storage)).list(), storage };
  });
}

const throwAt = (at: number) => ({ step }: { step: number }): void => {
  if (step === at) throw MINE;
};

describe("an error of the user's code", () => {
  gpuTest(
    "loses no step: what a loader, onStep, onEpoch or onSave throws comes after the last step was saved",
    async (gpu) => {
      const none = new Failing(-1);
      const cases = {
        s5: await ended(gpu, new Failing(5)),
        s9: await ended(gpu, none, { training: { onStep: throwAt(9) } }),
        s10: await ended(gpu, none, {
          training: { onStep: ({ step }) => step === 10 ? Promise.reject(MINE) : undefined },
        }),
        s14: await ended(gpu, none, { training: { onEpoch: ({ epoch }) => throwAt(2)({ step: epoch }) } }),
      };
      for (const [tag, { error, tags, step, warnings }] of Object.entries(cases)) {
        expect(error).toBe(MINE);
        expect(step).toBe(Number(tag.slice(1)));
        expect(tags.length).toBe(1);
        expect(tags[0]).toBe(tag === "s14" ? "e2" : tag);
        expect(warnings).toEqual([]);
      }
      const bySave = await ended(gpu, none, {
        training: { onSave: () => throwAt(0)({ step: 0 }) },
        saving: { everySteps: 4 },
      });
      expect(bySave.error).toBe(MINE);
      expect(bySave.tags).toContain(bySave.step === 7 ? "e1" : `s${bySave.step}`);
    },
  );

  gpuTest("is followed by a resume with the bits of a run without it", async (gpu) => {
    const whole = await withTrainer(
      gpu,
      smallRun({ data: new Failing(-1) }),
      async ({ trainer, tensors }) => {
        await trainer.train({ epochs: 2, ...QUIET });
        return await tensors();
      },
    );
    const { storage } = await ended(gpu, new Failing(11));
    await withTrainer(gpu, smallRun({ data: new Failing(-1) }), async ({ trainer, tensors }) => {
      trainer.autoSave({ everySteps: 100, savePath: await engineOn(storage) });
      expect((await trainer.resume()).step).toBe(11);
      await trainer.train({ epochs: 2, ...QUIET });
      expect(await tensors()).toEqual(whole);
    });
  });

  gpuTest("is not hidden by a save that fails: that is a warning", async (gpu) => {
    const onFire = (engine: Engine): Engine =>
      new Proxy(engine, {
        get: (target, key) => {
          if (key === "create") return () => Promise.reject(new Error("the disk is on fire"));
          const value: unknown = Reflect.get(target, key);
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
    const { error, warnings, tags } = await ended(gpu, new Failing(5), { engine: onFire });
    expect(error).toBe(MINE);
    expect(tags).toEqual([]);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('Checkpoint "s5" could not be saved: the disk is on fire');
  });

  gpuTest(
    "saves nothing twice, nothing before the first step, and nothing where saveOnError is false",
    async (gpu) => {
      expect((await ended(gpu, new Failing(6), { saving: { everySteps: 3 } })).tags).toEqual(["s3", "s6"]);
      expect((await ended(gpu, new Failing(0))).tags).toEqual([]);
      expect((await ended(gpu, new Failing(5), { saving: { saveOnError: false } })).tags).toEqual([]);
    },
  );

  gpuTest("is no abort: after one nothing more is saved, as the signal says", async (gpu) => {
    const stop = new AbortController();
    const onStep = ({ step }: { step: number }) => step === 5 ? stop.abort(MINE) : undefined;
    const { error, tags } = await ended(gpu, new Failing(-1), { training: { signal: stop.signal, onStep } });
    expect(error).toBe(MINE);
    expect(tags).toEqual([]);
  });

  gpuTest("is no step that is not finite: what is saved then is what was saved before", async (gpu) => {
    const inner = blobs(7 * BATCH, { batchSize: BATCH });
    const data: BatchSource = {
      batchSize: BATCH,
      exampleCount: 7 * BATCH,
      inputs: inner.inputs,
      labels: inner.labels,
      batchAt: (request) => {
        const batch = inner.batchAt(request);
        if (request.position === 5) (batch.inputs as Float32Array).fill(NaN);
        return batch;
      },
    };
    const { error, tags, step } = await ended(gpu, data, { saving: { everySteps: 2 } });
    expect(error.code).toBe("non_finite");
    expect(step).toBe(5);
    expect(tags).toEqual(["s2", "s4"]);
  });
});
