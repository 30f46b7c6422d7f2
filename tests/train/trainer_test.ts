import { describe, expect } from "bun:test";
import { accuracy, crossEntropy, type Layer, linear, mse, relu, sequential, zeros } from "../../src/nn/nn.ts";
import { add } from "../../src/graph/ops/arithmetic.ts";
import { mean } from "../../src/graph/ops/reduce.ts";
import { sgd } from "../../src/nn/optim/optim.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { DataLoader } from "../../src/data/data_loader.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { BATCH, blobs, CLASSES, engineOn, FEATURES, fixture, smallRun, withTrainer } from "./fixtures.ts";

function never(): never {
  throw new Error("nobody asks for a batch here");
}

describe("Trainer", () => {
  gpuTest("learns three classes, and its history tells", async (gpu) => {
    const options = smallRun({ validation: blobs(45, { batchSize: BATCH }, 77) });
    await withTrainer(gpu, options, async ({ trainer }) => {
      const before = await trainer.evaluate();
      const report = await trainer.train({ epochs: 20, progress: false });
      expect(report.steps).toBe(140);
      expect(report.endedBy).toBe("end");
      expect(trainer.step).toBe(140);
      expect(trainer.epoch).toBe(20);
      const after = await trainer.evaluate();
      expect(after.accuracy).toBeGreaterThan(0.95);
      expect(after.loss).toBeLessThan(before.loss / 2);
      const { loss, epochs } = trainer.history;
      expect(loss).toHaveLength(140);
      expect(epochs.map(({ epoch }) => epoch)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
      expect(epochs[19]?.metrics.val_loss).toBe(after.loss);
      expect(epochs[19]?.metrics.val_accuracy).toBe(after.accuracy);
      const mean = loss.subarray(133).reduce((sum, value) => sum + value, 0) / 7;
      expect(epochs[19]?.metrics.loss).toBeCloseTo(mean, 6);
    });
  }, 600_000);

  gpuTest("gives the same bits for the same seed, and others for another", async (gpu) => {
    const run = (seed: number) =>
      withTrainer(gpu, smallRun({ seed }), async ({ trainer, tensors }) => {
        await trainer.train({ epochs: 2, progress: false });
        return { tensors: await tensors(), loss: [...trainer.history.loss] };
      });
    const first = await run(1);
    expect(await run(1)).toEqual(first);
    const other = await run(2);
    expect(other.loss).not.toEqual(first.loss);
    expect(other.tensors).not.toEqual(first.tensors);
  });

  gpuTest("in its steady state a step is one submit and creates nothing on the GPU", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      await trainer.train({ epochs: 2, progress: false });
      const before = gpu.counters;
      const submits: number[] = [];
      await trainer.train({
        epochs: 4,
        progress: false,
        onStep: () => void submits.push(gpu.counters.submits),
      });
      const after = gpu.counters;
      expect(after.buffersCreated).toBe(before.buffersCreated);
      expect(after.bindGroupsCreated).toBe(before.bindGroupsCreated);
      expect(after.pipelinesCreated).toBe(before.pipelinesCreated);
      // Of the 14 steps none is at a full half of the ring but the 18th; that one also reads, and so does the
      // end of an epoch.
      const perStep = submits.slice(1, 7).map((count, index) => count - (submits[index] ?? 0));
      expect(perStep).toEqual([1, 1, 1, 1, 1, 1]);
    });
  });

  gpuTest("evaluation covers every example once, the rest that fills no batch included", async (gpu) => {
    const rows = 21;
    const inputs = Float32Array.from({ length: rows }, (_, row) => row);
    const targets = Float32Array.from({ length: rows }, (_, row) => row === rows - 1 ? 1000 : row);
    const data = (batchSize: number): DataLoader =>
      DataLoader.from({
        inputs: HostTensor.from(inputs, [rows, 1]),
        labels: HostTensor.from(targets, [rows, 1]),
      }, { batchSize });
    // Not the identity: what fills up the last batch would add nothing to a loss that is 0 there.
    const plusThree: Layer = (x, scope) => add(add(x, 3), scope.parameter("unused", [1], zeros()));
    const store = TensorStore.on(gpu);
    const trainer = new Trainer(store, {
      model: plusThree,
      loss: mse(),
      optimizer: sgd({ learningRate: 0 }),
      data: data(4),
    });
    for (const batchSize of [1, 4, 8, 21, 64]) {
      const report = await trainer.evaluate(data(batchSize));
      expect(report.examples).toBe(rows);
      expect(Math.abs(report.loss / ((977 ** 2 + 20 * 9) / rows) - 1)).toBeLessThan(1e-6);
      expect("accuracy" in report).toBe(false);
      expect(report.metrics).toEqual({});
    }
    await trainer.close();
    await store.close();
  });

  gpuTest("evaluations that are asked for at once do not disturb each other", async (gpu) => {
    const validation = blobs(45, { batchSize: BATCH }, 77);
    await withTrainer(gpu, smallRun({ validation }), async ({ trainer }) => {
      const [first, second, other] = await Promise.all([
        trainer.evaluate(),
        trainer.evaluate(),
        trainer.evaluate(blobs(30, { batchSize: BATCH }, 78)),
      ]);
      expect(second).toEqual(first);
      expect(other.loss).not.toBe(first.loss);
      expect(await trainer.evaluate()).toEqual(first);
    });
  });

  gpuTest("the size of the slabs changes no bit", async (gpu) => {
    const run = async (slabBytes: number) => {
      const store = TensorStore.on(gpu, { slabBytes });
      const trainer = new Trainer(store, smallRun());
      await trainer.train({ epochs: 2, progress: false });
      const weights = await store.read(store.group("model").tensors.map(({ name }) => name));
      const { slabs } = store.group("model");
      const loss = [...trainer.history.loss];
      await trainer.close();
      await store.close();
      return {
        slabs: slabs.length,
        bits: { loss, weights: [...weights.values()].map(({ bytes }) => [...bytes]) },
      };
    };
    const small = await run(256);
    const large = await run(1 << 20);
    expect([small.slabs, large.slabs]).toEqual([4, 1]);
    expect(small.bits).toEqual(large.bits);
  });

  gpuTest("evaluation leaves every tensor as it is", async (gpu) => {
    await withTrainer(
      gpu,
      smallRun({ validation: blobs(20, { batchSize: BATCH }) }),
      async ({ trainer, tensors }) => {
        await trainer.train({ epochs: 1, progress: false });
        const before = await tensors();
        await trainer.evaluate();
        await trainer.evaluate(blobs(5, { batchSize: BATCH }));
        expect(await tensors()).toEqual(before);
      },
    );
  });

  gpuTest("stops at a step boundary when its signal is aborted, with the signal's reason", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const controller = new AbortController();
      const reason = new Error("enough");
      const error = await thrownBy(() =>
        trainer.train({
          epochs: 5,
          progress: false,
          signal: controller.signal,
          onStep: ({ step }) => step === 10 ? controller.abort(reason) : undefined,
        })
      );
      expect(error).toBe(reason);
      expect(trainer.step).toBe(10);
      const report = await trainer.train({ epochs: 2, progress: false });
      expect(report.steps).toBe(4);
      expect(trainer.history.loss).toHaveLength(14);
    });
  });

  gpuTest("what a callback throws ends the training", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const failing = trainer.train({
        epochs: 1,
        progress: false,
        onStep: () => {
          throw new Error("mine");
        },
      });
      expect((await thrownBy(() => failing)).message).toBe("mine");
      expect(trainer.step).toBe(1);
    });
  });

  gpuTest("tells the progress where it stands", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const seen: string[] = [];
      await trainer.train({
        epochs: 2,
        progress: {
          name: "progress",
          onStart: ({ run: { progress: { totalSteps, totalEpochs } } }) =>
            void seen.push(`start ${totalSteps} ${totalEpochs}`),
          onStep: ({ run: { progress: { step, epoch } } }) => void seen.push(`${epoch}:${step}`),
          onEpoch: ({ epoch, metrics }) => void seen.push(`epoch ${epoch} ${Object.keys(metrics).join()}`),
          onEnd: ({ endedBy }) => void seen.push(endedBy),
        },
      });
      expect(seen).toEqual([
        "start 14 2",
        ...[1, 2, 3, 4, 5, 6, 7].map((step) => `1:${step}`),
        "epoch 1 loss",
        ...[8, 9, 10, 11, 12, 13, 14].map((step) => `2:${step}`),
        "epoch 2 loss",
        "end",
      ]);
    });
  });

  gpuTest("a loader that yields a short batch ends the training with short_batch", async (gpu) => {
    const data = {
      batchSize: BATCH,
      exampleCount: 80,
      inputs: { dtype: "f32", shape: [FEATURES] },
      labels: { dtype: "u32", shape: [] },
      batchAt: ({ position }: { position: number }) => ({
        inputs: new Float32Array((position === 3 ? 2 : BATCH) * FEATURES),
        labels: new Uint32Array(BATCH),
      }),
    } as const;
    await withTrainer(gpu, smallRun({ data }), async ({ trainer, tensors }) => {
      const error = await thrownBy(() => trainer.train({ epochs: 1, progress: false }));
      expect(error.code).toBe("short_batch");
      expect(error.message).toContain("Batch 3 of epoch 1 is short: its inputs hold 2 examples");
      expect(trainer.step).toBe(3);
      expect(Object.keys(await tensors())).toContain("optimizer.m.0.weight");
    });
  });

  gpuTest("says what does not fit when it is made", async (gpu) => {
    const store = TensorStore.on(gpu);
    const make = (overrides: Parameters<typeof smallRun>[0]) => () => new Trainer(store, smallRun(overrides));
    expect(make({ model: linear(FEATURES + 1, CLASSES) })).toThrow(
      "linear(7, 3): takes [batch, …, 7], found [8, 6]",
    );
    expect(make({ model: relu() })).toThrow("The model has no parameters");
    expect(make({ data: blobs(5, { batchSize: 8, dropLast: true }) })).toThrow(
      "5 examples do not fill one batch of 8",
    );
    expect(make({ seed: -1 })).toThrow("A seed is an integer from 0 to 2^64 - 1, found -1");
    expect(make({ metrics: { loss: accuracy() } })).toThrow('A metric cannot be called "loss"');
    expect(store.groups()).toHaveLength(0);
    await store.close();
  });

  gpuTest("names a part that is missing, and a layer or loss that was not called", async (gpu) => {
    const make = (overrides: object) => async () => {
      const { trainer, close } = fixture(gpu, smallRun(overrides));
      try {
        await trainer.train({ epochs: 1, progress: false });
      } finally {
        await close();
      }
    };
    const messageOf = async (overrides: object) => {
      const error = await thrownBy(make(overrides));
      expect(error).toBeInstanceOf(TypeError);
      return error.message;
    };
    expect(await messageOf({ model: undefined })).toContain("model is a layer, found undefined");
    expect(await messageOf({ loss: undefined })).toContain(
      "loss is a function, like nn.mse(), found undefined",
    );
    expect(await messageOf({ optimizer: undefined })).toContain("optimizer is one, like optim.adamw(");
    expect(await messageOf({ data: [1, 2] })).toContain(
      "data is a DataLoader or a BatchSource, found object",
    );
    expect(await messageOf({ validation: 1 })).toContain("validation is a DataLoader or a BatchSource");
    expect(await messageOf({ loss: mse })).toContain("The loss gives a function, expected a value");
    expect(await messageOf({ model: sequential(relu as unknown as Layer) })).toContain(
      "layer 0 of sequential() gives a function, expected a value; was it not called, as in nn.relu()?",
    );
    expect(await messageOf({ model: () => undefined })).toContain("The model gives undefined");
  });

  gpuTest("refuses a source with invalid sizes", async (gpu) => {
    for (const sizes of [{ batchSize: 0 }, { batchSize: 1.5 }, { exampleCount: NaN }]) {
      const { inputs, labels } = blobs(8, { batchSize: 8 });
      const data = { batchSize: 8, exampleCount: 8, inputs, labels, batchAt: () => never(), ...sizes };
      const store = TensorStore.on(gpu);
      const error = await thrownBy(() => new Trainer(store, smallRun({ data })));
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toMatch(/(batchSize|exampleCount) .*is an integer from [01], found/);
      await store.close();
    }
  });

  gpuTest("refuses training data, validation data and data to evaluate on that are empty", async (gpu) => {
    const { inputs, labels } = blobs(8, { batchSize: 8 });
    const empty = { batchSize: 8, exampleCount: 0, inputs, labels, batchAt: () => never() };
    const store = TensorStore.on(gpu);
    for (const overrides of [{ data: empty }, { validation: empty }]) {
      const error = await thrownBy(() => new Trainer(store, smallRun(overrides)));
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toContain("data has no examples (exampleCount is 0)");
    }
    expect(store.groups()).toHaveLength(0);
    await store.close();
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      expect(await thrownBy(() => trainer.evaluate(empty))).toBeInstanceOf(RangeError);
    });
  });

  gpuTest("a loss that is one number for the batch is refused with what to do", async (gpu) => {
    const loss = (output: Parameters<ReturnType<typeof crossEntropy>>[0], labels: typeof output) =>
      mean(crossEntropy()(output, labels).value);
    const store = TensorStore.on(gpu);
    const error = await thrownBy(() => new Trainer(store, smallRun({ loss })));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain("The loss gives f32 of shape [], expected one f32 for each example");
    expect(store.groups()).toHaveLength(0);
    await store.close();
  });

  gpuTest("refuses invalid epochs, training twice at once, and everything after close", async (gpu) => {
    const { store, trainer } = fixture(gpu);
    expect(await thrownBy(() => trainer.train({ epochs: 1.5 }))).toBeInstanceOf(RangeError);
    const running = trainer.train({ epochs: 1, progress: false });
    expect((await thrownBy(() => trainer.train({ epochs: 1 }))).message).toContain(
      "while train() is running",
    );
    expect((await thrownBy(() => trainer.resume())).message).toContain("while train() is running");
    await running;
    expect((await thrownBy(() => trainer.evaluate())).message).toContain("There is no validation data");
    await trainer.close();
    await trainer.close();
    expect((await thrownBy(() => trainer.train({ epochs: 2 }))).code).toBe("closed");
    expect((await thrownBy(() => trainer.save("a"))).code).toBe("closed");
    await store.close();
  });

  gpuTest("close() while train() is running ends it, and leaves nothing on the GPU", async (gpu) => {
    const { store, trainer } = fixture(gpu);
    let closing: Promise<void> | undefined;
    const error = await thrownBy(() =>
      trainer.train({
        epochs: 20,
        progress: false,
        onStep: ({ step }) => {
          if (step === 5) closing = trainer.close();
        },
      })
    );
    expect([(error as { code?: string }).code, trainer.step]).toEqual(["closed", 5]);
    await closing;
    await store.close();
  });

  gpuTest("what changes the run is refused while another call does", async (gpu) => {
    const storage = new MemoryStorage();
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
      await trainer.train({ epochs: 2, progress: false });
    });
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
      const resuming = trainer.resume();
      for (
        const work of [
          () => trainer.train({ epochs: 3, progress: false }),
          () => trainer.load("model_epoch01"),
          () => trainer.warmStart("elsewhere/1"),
          () => trainer.save("now"),
          () => trainer.evaluate(blobs(8, { batchSize: BATCH })),
          () => trainer.autoSave({ interval: 2 }),
        ]
      ) {
        expect((await thrownBy(work)).message).toContain("while resume() is running; await it first");
      }
      expect((await resuming).step).toBe(14);
      expect((await trainer.train({ epochs: 3, progress: false })).steps).toBe(7);
    });
  });

  gpuTest("evaluations on new sources of one shape share one compiled program", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const first = await trainer.evaluate(blobs(20, { batchSize: BATCH }));
      const { buffersCreated } = gpu.counters;
      const other = await trainer.evaluate(blobs(12, { batchSize: BATCH }, 6));
      expect([other.examples, other.loss === first.loss]).toEqual([12, false]);
      expect((await trainer.evaluate(blobs(20, { batchSize: BATCH }))).loss).toBe(first.loss);
      expect(gpu.counters.buffersCreated).toBe(buffersCreated);
    });
  });

  gpuTest("a learning rate of NaN stops the run before it reaches the weights", async (gpu) => {
    const learningRate = (step: number): number => step === 3 ? NaN : 0.01;
    await withTrainer(gpu, smallRun({ optimizer: sgd({ learningRate }) }), async ({ trainer, tensors }) => {
      let before: Record<string, string> = {};
      const error = await thrownBy(() =>
        trainer.train({
          epochs: 1,
          progress: false,
          onStep: async ({ step }) => {
            if (step === 3) before = await tensors();
          },
        })
      );
      expect(error.message).toContain("the learning rate of step 3 is a number from 0, found NaN");
      expect(trainer.step).toBe(3);
      expect(await tensors()).toEqual(before);
    });
  });

  gpuTest("handleSignals without automatic saving says so at the start", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const { warnings } = await trainer.train({ epochs: 1, progress: false, handleSignals: true });
      expect(warnings).toEqual([expect.stringContaining("call autoSave() first")]);
    });
  });

  gpuTest("walltime counts training and nothing else", async (gpu) => {
    let now = 0;
    await withTrainer(gpu, smallRun({ now: () => now }), async ({ trainer }) => {
      now += 60_000;
      await trainer.train({ epochs: 1, progress: false, onStep: () => void (now += 500) });
      now += 60_000;
      expect(trainer.walltime).toBe(3.5);
      await trainer.train({ epochs: 2, progress: false, onStep: () => void (now += 1000) });
      expect(trainer.walltime).toBe(10.5);
    });
  });
});
