import { describe, expect } from "bun:test";
import { autoencoderTrainer } from "../../examples/autoencoder/trainer.ts";
import { spirals } from "../../examples/custom_loop/spirals.ts";
import { BATCH, spiralStep } from "../../examples/custom_loop/step.ts";
import { loadDigits } from "../../examples/digits/digits.ts";
import { digitsRun } from "../../examples/digits/digits_run.ts";
import { digitsCnnTrainer } from "../../examples/digits_cnn/trainer.ts";
import { finetuneTrainer } from "../../examples/finetune/trainer.ts";
import { ganSteps } from "../../examples/gan/steps.ts";
import { loadMobyDick } from "../../examples/language/text.ts";
import { languageTrainer } from "../../examples/language/trainer.ts";
import { hourly } from "../../examples/timeseries/series.ts";
import { timeseriesTrainer } from "../../examples/timeseries/trainer.ts";
import { twoInputsTrainer } from "../../examples/two_inputs/trainer.ts";
import type { Stateful } from "../../src/checkpoint/capture/state_types.ts";
import { Snapshot } from "../../src/checkpoint/snapshot.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import type { Values } from "../../src/graph/values.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { assertResumeExact } from "../../src/train/assert_resume_exact.ts";
import { tensorsOf } from "../../src/train/first_difference.ts";
import type { Precision } from "../../src/train/step/precision.ts";
import { tensorDifference } from "../../src/train/tensor_difference.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { engineOn } from "../train/fixtures.ts";

/** Steps before a save, and again after it was loaded. */
const STEPS = 2;

/** A loop of its own around training steps. */
interface Loop {
  /** What its checkpoints have beside the store. */
  readonly parts: Readonly<Record<string, Stateful>>;
  readonly turn: () => Promise<void>;
  readonly close: () => Promise<void>;
}

let digits: ReturnType<typeof loadDigits> | undefined;
const settingsOf = (precision: Precision) => ({ steps: 40, precision });

/** As it is trained by its script, but for how long. */
const TRAINERS: Readonly<
  Record<string, (store: TensorStore, precision: Precision) => Promise<Trainer<Values, Values, Values>>>
> = {
  autoencoder: async (store, precision) =>
    autoencoderTrainer(store, await (digits ??= loadDigits(1)), settingsOf(precision)),
  digits: async (store, precision) => new Trainer(store, await digitsRun(1, precision)),
  digits_cnn: async (store, precision) =>
    digitsCnnTrainer(store, await (digits ??= loadDigits(1)), settingsOf(precision)),
  finetune: async (store, precision) =>
    finetuneTrainer(store, await (digits ??= loadDigits(1)), settingsOf(precision)),
  language: async (store, precision) =>
    await languageTrainer(store, await loadMobyDick(16_384), settingsOf(precision)),
  timeseries: (store, precision) => {
    const series = hourly(600);
    const parts = { past: series.subarray(0, 500), future: series.subarray(500) };
    return Promise.resolve(timeseriesTrainer(store, parts, settingsOf(precision)));
  },
  two_inputs: async (store, precision) =>
    await twoInputsTrainer(store, await (digits ??= loadDigits(1)), settingsOf(precision)),
};

const LOOPS: Readonly<Record<string, (store: TensorStore, precision: Precision) => Promise<Loop>>> = {
  custom_loop: async (store, precision) => {
    const step = await spiralStep(store, precision);
    return {
      parts: { loop: step },
      turn: async () => await step.run(spirals(BATCH, step.step)),
      close: () => step.close(),
    };
  },
  gan: async (store, precision) => {
    const { critics, painters, run, close } = await ganSteps(store, { ...settingsOf(precision), rate: 3e-3 });
    return { parts: { critics, painters }, turn: run, close };
  },
};

describe("an example", () => {
  for (const precision of ["f32", "bf16"] as const) {
    for (const [name, open] of Object.entries(TRAINERS)) {
      gpuTest(`XT-01 ${name} resumes bit for bit in ${precision}`, async (gpu) => {
        const store = TensorStore.on(gpu);
        const trainer = await open(store, precision);
        try {
          await assertResumeExact(trainer, { steps: STEPS });
          expect(trainer.step).toBe(0);
        } finally {
          await trainer.close();
          await store.close();
        }
      });
    }

    for (const [name, open] of Object.entries(LOOPS)) {
      gpuTest(`XT-01 ${name}, a loop of its own, resumes bit for bit in ${precision}`, async (gpu) => {
        const storage = new MemoryStorage();
        const undisturbed = await endOf(gpu, (store) => open(store, precision), async (loop, snapshot) => {
          await turns(loop, STEPS);
          await (await snapshot.save("middle")).wait();
          await turns(loop, STEPS);
        }, storage);
        const resumed = await endOf(gpu, (store) => open(store, precision), async (loop, snapshot) => {
          await snapshot.restore("middle");
          await turns(loop, STEPS);
        }, storage);
        expect(undisturbed.size).toBeGreaterThan(8);
        expect(tensorDifference(undisturbed, resumed)).toBeUndefined();
      });
    }
  }

  gpuTest("XT-01 a loop of its own that does a step less is found to be another one", async (gpu) => {
    const ends = [];
    for (const count of [STEPS, STEPS + 1]) {
      const open = (store: TensorStore) => LOOPS.custom_loop?.(store, "f32");
      ends.push(await endOf(gpu, open, (loop) => turns(loop, count), new MemoryStorage()));
    }
    expect(tensorDifference(ends[0] ?? new Map(), ends[1] ?? new Map())).toBeDefined();
  });
});

/** All tensors at the end of `work` with a loop that is opened anew. */
async function endOf(
  gpu: GpuDevice,
  open: (store: TensorStore) => Promise<Loop> | undefined,
  work: (loop: Loop, snapshot: Snapshot) => Promise<void>,
  storage: MemoryStorage,
): Promise<Awaited<ReturnType<typeof tensorsOf>>> {
  const store = TensorStore.on(gpu);
  const loop = await open(store);
  if (loop === undefined) throw new Error("there is no such loop");
  const snapshot = new Snapshot(await engineOn(storage), { store, ...loop.parts });
  try {
    await work(loop, snapshot);
    return await tensorsOf({ store });
  } finally {
    await snapshot.close();
    await loop.close();
    await store.close();
  }
}

async function turns(loop: Loop, count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await loop.turn();
}
