import { describe, expect } from "bun:test";
import { Snapshot } from "../../../src/checkpoint/snapshot.ts";
import type { Batch } from "../../../src/data/batch_source.ts";
import type { DataLoader } from "../../../src/data/data_loader.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { batchNorm, l2Penalty, linear, sequential } from "../../../src/nn/nn.ts";
import { adamw, ema, sgd } from "../../../src/nn/optim/optim.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { TensorStore } from "../../../src/tensor/tensor_store.ts";
import { TrainStep } from "../../../src/train/loop/train_step.ts";
import type { TrainStepOptions } from "../../../src/train/loop/train_step_options.ts";
import type { StepExplanation } from "../../../src/train/step/explain_step.ts";
import type { TrainerOptions } from "../../../src/train/trainer.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import {
  BATCH,
  blobs,
  CLASSES,
  engineOn,
  FEATURES,
  HIDDEN,
  smallRun,
  tensorsOf,
  withTrainer,
} from "../fixtures.ts";

const SEED = 11;
const QUIET = { progress: false } as const;
const data = blobs(56, { batchSize: BATCH, shuffle: true });

/** The small run as a step, with its clipping and its regulariser. */
function stepOptions(overrides: Partial<TrainStepOptions> = {}): TrainStepOptions {
  const { model, loss, optimizer } = smallRun();
  return {
    model,
    loss,
    optimizer,
    clipGradients: { norm: 0.8 },
    regularizers: { l2: l2Penalty(1e-3) },
    inputs: data.inputs,
    labels: data.labels,
    batchSize: BATCH,
    seed: SEED,
    ...overrides,
  };
}

function batchOf(step: number, source: DataLoader = data): Batch {
  return source.batchAt({ seed: SEED, epoch: Math.floor(step / 7), position: step % 7 });
}

interface StepFixture {
  readonly store: TensorStore;
  readonly step: TrainStep;
  tensors(): Promise<Record<string, string>>;
  /** Goes on until so many steps are done. */
  to(steps: number): Promise<void>;
}

async function withStep<T>(
  gpu: GpuDevice,
  options: TrainStepOptions,
  body: (fixture: StepFixture) => Promise<T>,
): Promise<T> {
  const store = TensorStore.on(gpu);
  try {
    const step = await TrainStep.compile(store, options);
    try {
      const to = async (steps: number): Promise<void> => {
        while (step.step < steps) await step.run(batchOf(step.step));
      };
      return await body({ store, step, to, tensors: () => tensorsOf(store) });
    } finally {
      await step.close();
    }
  } finally {
    await store.close();
  }
}

describe("a training step for a loop of one's own", () => {
  gpuTest("TR-02 TrainStep leaves the bits that a Trainer leaves after the same batches", async (gpu) => {
    const options = stepOptions();
    const run: TrainerOptions = {
      ...smallRun({ data }),
      clipGradients: options.clipGradients,
      regularizers: options.regularizers,
    };
    const trained = await withTrainer(gpu, run, async ({ trainer, tensors }) => {
      await trainer.train({ steps: 40, ...QUIET });
      return { tensors: await tensors(), loss: trainer.history.loss, terms: trainer.history.terms };
    });
    await withStep(gpu, options, async ({ step, to, tensors }) => {
      await to(40);
      expect(await step.readLosses()).toEqual(trained.loss);
      expect(step.history.terms).toEqual(trained.terms);
      expect(Object.keys(step.history.terms).sort()).toEqual(["data", "gradient_norm", "l2"]);
      expect(await tensors()).toEqual(trained.tensors);
    });
  });

  gpuTest(
    "TR-02 TrainStep waits for nothing: a step is one submit, which makes nothing and reads nothing",
    async (gpu) => {
      await withStep(gpu, stepOptions(), async ({ step, to }) => {
        await to(2);
        const before = gpu.counters;
        await to(12);
        const { submits, ...made } = gpu.counters;
        expect(submits - before.submits).toBe(10);
        const { submits: _, ...madeBefore } = before;
        expect(made).toEqual(madeBefore);
        expect(step.history.loss).toHaveLength(0);
        expect(await step.readLosses()).toHaveLength(12);
        expect(step.history.loss).toHaveLength(12);
      });
    },
  );

  gpuTest(
    "TR-02 TrainStep gives the gradients of its last step, which the update was made of",
    async (gpu) => {
      const plain = {
        optimizer: sgd({ learningRate: 0.5 }),
        clipGradients: undefined,
        regularizers: undefined,
      };
      await withStep(gpu, stepOptions(plain), async ({ step, store, to }) => {
        expect((await thrownBy(() => step.readGradients())).message).toContain("run one first");
        await to(3);
        const names = step.model.parameters.map(({ name }) => name);
        const before = await store.read(names.map((name) => `model.${name}`));
        await to(4);
        const gradients = await step.readGradients();
        expect([...gradients.keys()].sort()).toEqual([...names].sort());
        for (const name of names) {
          const was = before.get(`model.${name}`)?.toArray() as Float32Array;
          const is = (await store.read([`model.${name}`])).get(`model.${name}`)?.toArray() as Float32Array;
          const gradient = gradients.get(name);
          expect(gradient?.shape).toEqual(step.model.tensorOf(name).shape);
          const elements = gradient?.toArray() as Float32Array;
          expect(elements.some((element) => element !== 0)).toBe(true);
          is.forEach((element, at) => {
            expect(element).toBeCloseTo((was[at] ?? NaN) - 0.5 * (elements[at] ?? NaN), 6);
          });
        }
        const [one] = names;
        expect([...(await step.readGradients([one ?? ""])).keys()]).toEqual([one ?? ""]);
        expect((await thrownBy(() => step.readGradients(["0.wieght"]))).message).toContain(
          '"0.wieght" has no gradient; there is one of "0.weight"',
        );
      });
    },
  );

  gpuTest(
    "TR-05 TrainStep says what its model and its step consist of, and goes on with the same bits",
    async (gpu) => {
      const undisturbed = await withStep(gpu, stepOptions(), async ({ to, tensors }) => {
        await to(5);
        return await tensors();
      });
      await withStep(gpu, stepOptions(), async ({ step, to, tensors }) => {
        await to(3);
        expect(step.summary().layers.map(({ path }) => path)).toEqual(["", "0", "1", "2", "3"]);
        const plain = await step.explain();
        const timed = await step.explain(batchOf(3));
        const kernelsOf = ({ programs }: StepExplanation) =>
          programs.flatMap(({ kernels }) => kernels.map(({ kernel }) => kernel));
        expect(kernelsOf(timed)).toEqual(kernelsOf(plain));
        expect(kernelsOf(plain).length).toBeGreaterThan(10);
        expect(step.step).toBe(3);
        await to(5);
        expect(await tensors()).toEqual(undisturbed);
      });
    },
  );

  gpuTest("several numbers of examples are a program each", async (gpu) => {
    await withStep(gpu, stepOptions({ batchSize: [BATCH, 3] }), async ({ step }) => {
      const small = blobs(11, { batchSize: BATCH });
      for (const position of [0, 1]) {
        await step.run(small.batchAt({ seed: 0, epoch: 0, position }));
      }
      const losses = await step.readLosses();
      expect([...losses].every((loss) => loss > 0)).toBe(true);
      const five = blobs(5, { batchSize: 5 }).batchAt({ seed: 0, epoch: 0, position: 0 });
      const error = await thrownBy(() => step.run(five));
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toContain("A batch has 5 examples, and the step was compiled for 8 or 3");
      const uneven = { inputs: batchOf(0).inputs, labels: five.labels };
      expect((await thrownBy(() => step.run(uneven))).message).toContain(
        "inputs of 8 examples and labels of 5",
      );
      expect(step.step).toBe(2);
    });
  });

  gpuTest("steps that are not awaited are done one after the other", async (gpu) => {
    const awaited = await withStep(gpu, stepOptions(), async ({ to, tensors }) => {
      await to(6);
      return await tensors();
    });
    await withStep(gpu, stepOptions(), async ({ step, tensors }) => {
      await Promise.all([0, 1, 2, 3, 4, 5].map((at) => step.run(batchOf(at))));
      expect(step.step).toBe(6);
      expect(await tensors()).toEqual(awaited);
    });
  });
});

describe("a training step with a snapshot", () => {
  for (const [at, until] of [[9, 20], [40, 100], [95, 130], [128, 129]] as const) {
    gpuTest(`TR-02 TrainStep goes on with the same bits after ${at} of ${until} steps`, async (gpu) => {
      const whole = await withStep(gpu, stepOptions(), async ({ step, to, tensors }) => {
        await to(until);
        return { losses: await step.readLosses(), terms: step.history.terms, tensors: await tensors() };
      });
      const storage = new MemoryStorage();
      await withStep(gpu, stepOptions(), async ({ store, step, to }) => {
        const snapshot = new Snapshot(await engineOn(storage), { store, step });
        await to(at);
        await snapshot.save(step.step);
        // What comes behind the save is lost.
        await to(at + 3);
        await snapshot.close();
      });
      await withStep(gpu, stepOptions(), async ({ store, step, to, tensors }) => {
        const snapshot = new Snapshot(await engineOn(storage), { store, step });
        await to(2);
        await snapshot.restore(at);
        expect(step.step).toBe(at);
        expect((await thrownBy(() => step.readGradients())).message).toContain("run one first");
        await to(until);
        expect(await step.readLosses()).toEqual(whole.losses);
        expect(step.history.terms).toEqual(whole.terms);
        expect(await tensors()).toEqual(whole.tensors);
        await snapshot.close();
      });
    });
  }

  gpuTest(
    "TR-02 TrainStep goes on with the buffers of its layers and the averages of its optimiser",
    async (gpu) => {
      const options = stepOptions({
        model: sequential(linear(FEATURES, HIDDEN), batchNorm(HIDDEN), linear(HIDDEN, CLASSES)),
        optimizer: ema(adamw({ learningRate: 0.02 }), { decay: 0.9 }),
      });
      const whole = await withStep(gpu, options, async ({ to, tensors }) => {
        await to(9);
        return await tensors();
      });
      expect(Object.keys(whole)).toContain("model.1.running_mean");
      const storage = new MemoryStorage();
      await withStep(gpu, options, async ({ store, step, to }) => {
        const snapshot = new Snapshot(await engineOn(storage), { store, step });
        await to(4);
        await snapshot.save(step.step);
        await snapshot.close();
      });
      await withStep(gpu, options, async ({ store, step, to, tensors }) => {
        const snapshot = new Snapshot(await engineOn(storage), { store, step });
        await snapshot.restore(4);
        await to(9);
        expect(await tensors()).toEqual(whole);
        await snapshot.close();
      });
    },
  );

  gpuTest("refuses the state of another step with every difference, and changes nothing", async (gpu) => {
    const storage = new MemoryStorage();
    await withStep(gpu, stepOptions(), async ({ store, step, to }) => {
      const snapshot = new Snapshot(await engineOn(storage), { store, step });
      await to(3);
      await snapshot.save(3);
      await snapshot.close();
    });
    const other = { seed: 12, optimizer: adamw({ learningRate: 0.1 }) };
    await withStep(gpu, stepOptions(other), async ({ store, step, to, tensors }) => {
      const snapshot = new Snapshot(await engineOn(storage), { store, step });
      await to(1);
      const before = await tensors();
      const error = await thrownBy(() => snapshot.restore(3));
      expect(error.code).toBe("state_mismatch");
      expect(error.message).toContain("its step has seed 11, this one 12; ");
      expect(error.message).toContain("0.02, this one 0.1");
      expect(error.message).toContain('allow: ["seed", "schedule"]');
      expect([step.step, await tensors()]).toEqual([1, before]);
      await snapshot.close();
    });
    await withStep(gpu, stepOptions({ ...other, allow: ["seed", "schedule"] }), async ({ store, step }) => {
      const snapshot = new Snapshot(await engineOn(storage), { store, step });
      await snapshot.restore(3);
      expect(step.step).toBe(3);
      await snapshot.close();
      const error = await thrownBy(() => step.loadStateDict({ step: 3 }));
      expect([error.code, error.message]).toEqual([
        "state_mismatch",
        expect.stringContaining(
          '"trainStep" of it is not what a TrainStep writes (Invalid input: expected 1',
        ),
      ]);
    });
  });
});

describe("a training step that is not finite", () => {
  const spoiled = (): Batch => {
    const { inputs, labels } = batchOf(4);
    const marked = (inputs as Float32Array).slice();
    marked[FEATURES] = NaN;
    return { inputs: marked, labels };
  };

  gpuTest(
    "TR-06 stops a loop of one's own, is found by its op, and is the next one after retry()",
    async (gpu) => {
      const clean = await withStep(gpu, stepOptions(), async ({ step, to }) => {
        await to(8);
        return await step.readLosses();
      });
      await withStep(gpu, stepOptions(), async ({ store, step, to }) => {
        await to(4);
        await step.run(spoiled());
        await step.run(batchOf(5));
        const error = await thrownBy(() => step.readLosses());
        expect([error.code, step.step]).toEqual(["non_finite", 4]);
        expect((await thrownBy(() => step.run(batchOf(4)))).code).toBe("non_finite");
        const snapshot = new Snapshot(await engineOn(), { store, step });
        expect((await thrownBy(async () => await (await snapshot.save(4)).wait())).code).toBe("non_finite");
        expect(await step.findNonFinite(batchOf(4))).toBeUndefined();
        const found = await step.findNonFinite(spoiled());
        expect([found?.op, found?.index]).toEqual(['input "inputs"', [1, 0]]);
        await step.retry();
        await to(8);
        expect(await step.readLosses()).toEqual(clean);
        await snapshot.close().catch(() => undefined);
      });
    },
  );

  gpuTest('TR-06 is left out with onNonFinite: "skip"', async (gpu) => {
    await withStep(gpu, stepOptions({ onNonFinite: "skip" }), async ({ step, to }) => {
      await to(4);
      await step.run(spoiled());
      await to(6);
      const losses = await step.readLosses();
      expect([...losses].map(Number.isNaN)).toEqual([false, false, false, false, true, false]);
      expect(step.history.skipped).toEqual([4]);
    });
  });
});

describe("a training step that was misused", () => {
  gpuTest("says what it takes, and frees all it made", async (gpu) => {
    const store = TensorStore.on(gpu);
    const compile = (options: unknown) => TrainStep.compile(store, options as TrainStepOptions);
    expect((await thrownBy(() => compile({ ...stepOptions(), batchSizes: 3 }))).message).toContain(
      "batchSize",
    );
    expect((await thrownBy(() => compile(stepOptions({ batchSize: 0 })))).message).toContain(
      "batchSize is an integer from 1, or several, found 0",
    );
    expect((await thrownBy(() => compile({ ...stepOptions(), inputs: [6] }))).message).toContain(
      'inputs is what one example is, such as { dtype: "f32", shape: [784] }, or data.inputs of a loader',
    );
    const step = await compile(stepOptions());
    const { inputs } = batchOf(0);
    const error = await thrownBy(() => step.run({ inputs, labels: new Uint32Array(BATCH).fill(7) }));
    expect(error.message).toContain(
      "The label of example 0 of step 1 is 7, and crossEntropy takes whole numbers",
    );
    await step.close();
    await step.close();
    expect((await thrownBy(() => step.run(batchOf(0)))).code).toBe("closed");
    await store.close();
  });
});
