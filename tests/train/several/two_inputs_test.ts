import { describe, expect, test } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { crossEntropy, linear, lossByOutput, metricsByOutput, mse } from "../../../src/nn/nn.ts";
import { accuracy } from "../../../src/nn/nn.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../../src/tensor/tensor_store.ts";
import { DataLoader } from "../../../src/data/data_loader.ts";
import { assertResumeExact } from "../../../src/train/assert_resume_exact.ts";
import { TrainStep } from "../../../src/train/loop/train_step.ts";
import { Trainer, type TrainerOptions } from "../../../src/train/trainer.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { expectClose } from "../../kernels/numbers.ts";
import { engineOn, tensorsOf as bitsIn } from "../fixtures.ts";
import {
  BOX,
  BOX_FACTOR,
  examples,
  IMAGE,
  type Inputs,
  type Labels,
  loaderOf,
  model,
  outputOf,
  type Outputs,
  RATE,
  reference,
  tensorsOf,
  twoInputs,
  type Weights,
} from "./two_inputs_twin.ts";

const QUIET = { progress: false } as const;
const BATCH = 6;
/** Four whole batches and one of two examples. */
const ALL = examples(4 * BATCH + 2);
const TOLERANCE = { absolute: 2e-6, relative: 2e-5 };

async function withRun<T>(
  gpu: GpuDevice,
  options: TrainerOptions<Inputs, Outputs, Labels>,
  body: (trainer: Trainer<Inputs, Outputs, Labels>, store: TensorStore) => Promise<T>,
): Promise<T> {
  const store = TensorStore.on(gpu);
  const trainer = new Trainer(store, options);
  try {
    return await body(trainer, store);
  } finally {
    await trainer.close();
    await store.close();
  }
}

async function weightsOf(store: TensorStore): Promise<Weights> {
  const { tensors } = store.group("model");
  const read = await store.read(tensors.map(({ name }) => name));
  return Object.fromEntries(
    [...read].map(([name, tensor]) => [
      name.slice("model.".length),
      Float64Array.from(tensor.toArray() as Float32Array),
    ]),
  );
}

describe("TR-01 several named inputs and outputs", () => {
  gpuTest(
    "TR-01 train as float64 does, and log the terms of the loss, with a short last batch",
    async (gpu) => {
      await withRun(gpu, twoInputs(loaderOf(ALL, { batchSize: BATCH })), async (trainer, store) => {
        await trainer.evaluate(loaderOf(ALL, { batchSize: BATCH }));
        const weights = await weightsOf(store);
        const velocity: Weights = {};
        const expected: { kind: number[]; box: number[]; loss: number[] } = { kind: [], box: [], loss: [] };
        for (let step = 0; step < 20; step++) {
          const from = step % 5 * BATCH;
          const { kind, box, gradients } = reference(ALL, weights, from, Math.min(from + BATCH, ALL.count));
          expected.kind.push(kind);
          expected.box.push(box);
          expected.loss.push(kind + BOX_FACTOR * box);
          for (const [name, gradient] of Object.entries(gradients)) {
            velocity[name] = gradient.map((g, at) => (velocity[name]?.[at] ?? 0) * 0.5 + g);
            weights[name] = (weights[name] ?? gradient).map((w, at) =>
              w - RATE * (velocity[name]?.[at] ?? NaN)
            );
          }
        }
        await trainer.train({ steps: 20, ...QUIET });
        const { loss } = trainer.history;
        expectClose(loss, expected.loss, TOLERANCE);
        const { kind, box } = trainer.history.columnsBefore(20);
        expectClose(kind ?? [], expected.kind, TOLERANCE);
        expectClose(box ?? [], expected.box, TOLERANCE);
        for (const [name, found] of Object.entries(await weightsOf(store))) {
          expectClose(found, weights[name] ?? [], TOLERANCE);
        }
      });
    },
  );

  gpuTest(
    "TR-01 are evaluated by name over every example, and predicted by name in their order",
    async (gpu) => {
      await withRun(
        gpu,
        twoInputs(loaderOf(ALL, { batchSize: BATCH, shuffle: true })),
        async (trainer, store) => {
          await trainer.train({ steps: 7, ...QUIET });
          const weights = await weightsOf(store);
          const outputs = Array.from({ length: ALL.count }, (_, row) => outputOf(ALL, weights, row));
          const { kind, box } = reference(ALL, weights, 0, ALL.count);
          const report = await trainer.evaluate(loaderOf(ALL, { batchSize: 7 }));
          expectClose([report.terms.kind ?? NaN, report.terms.box ?? NaN], [kind, box], TOLERANCE);
          expectClose([report.loss], [kind + BOX_FACTOR * box], TOLERANCE);
          const right = outputs.filter(({ kind: logits }, row) =>
            logits.indexOf(Math.max(...logits)) === ALL.kind[row]
          );
          const errors = outputs.flatMap(({ box }, row) =>
            box.map((found, at) => Math.abs(found - (ALL.box[row * BOX + at] ?? NaN)))
          );
          expect(report.metrics.kind_accuracy).toBeCloseTo(right.length / ALL.count, 10);
          expectClose([report.metrics.box_error ?? NaN], [
            errors.reduce((a, b) => a + b) / errors.length,
          ], TOLERANCE);

          const { inputs } = tensorsOf(ALL);
          for (
            const found of [
              await trainer.predict(inputs, { batchSize: 4 }),
              await trainer.predict(loaderOf(ALL, { batchSize: 9, shuffle: true })),
            ]
          ) {
            expect([found.kind.shape, found.box.shape]).toEqual([[ALL.count, 3], [ALL.count, BOX]]);
            expectClose(
              found.kind.toArray() as Float32Array,
              outputs.flatMap((each) => each.kind),
              TOLERANCE,
            );
            expectClose(
              found.box.toArray() as Float32Array,
              outputs.flatMap((each) => each.box),
              TOLERANCE,
            );
          }
          const none = await trainer.predict({
            image: HostTensor.from(new Float32Array(0), [0, IMAGE]),
            meta: HostTensor.from(new Float32Array(0), [0, 3]),
          });
          expect([none.kind.shape, none.box.shape]).toEqual([[0, 3], [0, BOX]]);
        },
      );
    },
  );

  gpuTest(
    "TR-01 computed in pieces give the step of the whole batch to rounding, and resume exactly",
    async (gpu) => {
      const data = (): TrainerOptions["data"] => loaderOf(ALL, { batchSize: BATCH, shuffle: true });
      const losses = await withRun(gpu, twoInputs(data()), async (trainer) => {
        await trainer.train({ steps: 12, ...QUIET });
        return trainer.history.loss;
      });
      await withRun(gpu, twoInputs(data(), { microBatchSize: 4 }), async (trainer) => {
        await assertResumeExact(trainer, { steps: 6 });
        await trainer.train({ steps: 12, ...QUIET });
        expectClose(trainer.history.loss, losses, TOLERANCE);
      });
    },
  );

  gpuTest("TR-01 resume with the same bits, and not with other data of any of them", async (gpu) => {
    const data = (all = ALL): TrainerOptions["data"] => loaderOf(all, { batchSize: BATCH, shuffle: true });
    const undisturbed = await withRun(gpu, twoInputs(data()), async (trainer, store) => {
      await trainer.train({ steps: 13, ...QUIET });
      return await bitsIn(store);
    });
    const storage = new MemoryStorage();
    await withRun(gpu, twoInputs(data()), async (trainer) => {
      trainer.autoSave({ everySteps: 4, savePath: await engineOn(storage) });
      await trainer.train({ steps: 8, ...QUIET });
    });
    await withRun(gpu, twoInputs(data()), async (trainer, store) => {
      trainer.autoSave({ everySteps: 4, savePath: await engineOn(storage) });
      expect(await trainer.resume()).toMatchObject({ step: 8 });
      await trainer.train({ steps: 13, ...QUIET });
      expect(await bitsIn(store)).toEqual(undisturbed);
    });
    for (const part of ["image", "meta", "box"] as const) {
      const other = { ...ALL, [part]: ALL[part].slice().fill(0.25, 0, 1) };
      await withRun(gpu, twoInputs(data(other)), async (trainer) => {
        trainer.autoSave({ everySteps: 4, savePath: await engineOn(storage) });
        const error = await thrownBy(() => trainer.resume());
        expect(error.message).toContain(`data.${part === "box" ? "labels" : "inputs"}.${part}`);
      });
    }
  });

  gpuTest("TR-01 are a step of one's own, whose labels are looked at by name", async (gpu) => {
    const store = TensorStore.on(gpu);
    const data = loaderOf(ALL, { batchSize: BATCH });
    const { loss, optimizer } = twoInputs(data);
    const step = await TrainStep.compile(store, {
      model,
      loss,
      optimizer,
      inputs: data.inputs,
      labels: data.labels,
      batchSize: BATCH,
    });
    try {
      const batch = data.next();
      await step.run(batch);
      expect((await step.readLosses()).length).toBe(1);
      const wrong = { ...batch.labels, kind: Uint32Array.of(0, 1, 2, 0, 5, 1) };
      const error = await thrownBy(() => step.run({ ...batch, labels: wrong }));
      expect(error.message).toContain('The label "kind" of example 4 of step 2 is 5');
      const short = { ...batch.inputs, meta: new Float32Array(3) };
      const cut = await thrownBy(() => step.run({ ...batch, inputs: short }));
      expect(cut.message).toContain('inputs "image" of 6 examples and inputs "meta" of 1');
      const { meta: _, ...rest } = batch.inputs;
      const missing = await thrownBy(() => step.run({ ...batch, inputs: rest }));
      expect(missing.message).toContain('A batch has inputs "image", labels "kind", labels "box", expected');
    } finally {
      await step.close();
      await store.close();
    }
  });

  gpuTest("TR-01 that do not fit are named with both shapes", async (gpu) => {
    const data = loaderOf(ALL, { batchSize: BATCH });
    const failing = async (
      overrides: Partial<TrainerOptions<Inputs, Outputs, Labels>>,
      source: TrainerOptions["data"] = data,
    ): Promise<string> => {
      const store = TensorStore.on(gpu);
      const error = await thrownBy(() =>
        Promise.resolve().then(() => new Trainer(store, twoInputs(source, overrides)))
      );
      await store.close();
      return error.message;
    };
    const tensors = tensorsOf(ALL);
    const flat = HostTensor.from(ALL.box.slice(0, ALL.count), [ALL.count]);
    const flatBox = DataLoader.from({ ...tensors, labels: { ...tensors.labels, box: flat } }, {
      batchSize: BATCH,
    });
    expect(await failing({}, flatBox)).toContain(
      'The loss of the output "box" cannot compare f32 [6, 2] and f32 [6]: mse:',
    );
    const { box: _, ...onlyKind } = tensors.labels;
    const lacking = DataLoader.from({ ...tensors, labels: onlyKind }, { batchSize: BATCH });
    expect(await failing({}, lacking)).toContain(
      'The loss of the output "box" needs the labels of that name, and the data has labels for "kind"',
    );
    const single = DataLoader.from({ ...tensors, labels: tensors.labels.kind }, { batchSize: BATCH });
    expect(await failing({}, single)).toContain("one without a name");
    const swapped = DataLoader.from(
      { ...tensors, inputs: { image: tensors.inputs.meta, meta: tensors.inputs.image } },
      { batchSize: BATCH },
    );
    expect(await failing({}, swapped)).toContain("[6, 3]");
    await withRun(gpu, twoInputs(data), async (trainer) => {
      const { image, meta } = tensors.inputs;
      const narrow = await thrownBy(() => trainer.predict({ image: meta, meta }));
      expect(narrow.message).toBe(
        'predict() was given f32 [examples, 3] for input "image", and the model takes f32 [examples, 4]; ' +
          "give one input of that shape for each example",
      );
      const fewer = await thrownBy(() => trainer.predict({ image, meta: [[1, 2, 3]] }));
      expect(fewer.message).toContain('26 examples of inputs "image" and 1 of inputs "meta"');
      const evaluated = await thrownBy(() => trainer.evaluate(swapped));
      expect(evaluated.message).toContain(
        'f32 [3] for an example of inputs "image", and the model takes f32 [4]',
      );
    });
  });
});

describe("TR-01 a data set of several tensors", () => {
  test("TR-01 counts its examples by the first axis of each, and names the one that differs", () => {
    const { inputs, labels } = tensorsOf(ALL);
    const short = HostTensor.from(new Float32Array(6), [2, 3]);
    expect(() => DataLoader.from({ inputs: { ...inputs, meta: short }, labels }, { batchSize: 2 })).toThrow(
      'found inputs "image" [26, 4] and inputs "meta" [2, 3]',
    );
    expect(() => DataLoader.from({ inputs: {}, labels }, { batchSize: 2 })).toThrow("The inputs are none");
    expect(() => DataLoader.from({ inputs: { "a.b": short }, labels: short }, { batchSize: 2 })).toThrow(
      'One of several inputs is called "a.b"; its name is of letters, digits and _',
    );
  });

  test("TR-01 gives batches by name, and says the checksum of each", async () => {
    const data = loaderOf(ALL, { batchSize: 2 });
    const { inputs, labels } = data.next();
    expect(inputs.image).toEqual(ALL.image.slice(0, 2 * IMAGE));
    expect(labels.kind).toEqual(ALL.kind.slice(0, 2));
    expect(data.inputs.meta).toEqual({ dtype: "f32", shape: [3] });
    const names = ["name", "inputs.image", "inputs.meta", "labels.kind", "labels.box", "shuffle", "seed"];
    expect(Object.keys(await data.describe())).toEqual(names);
  });
});

describe("TR-01 losses and metrics by output", () => {
  test("TR-01 refuse what is no loss, a name that is taken, and a strange factor", () => {
    const none = { kind: undefined } as unknown as { kind: ReturnType<typeof mse> };
    expect(() => lossByOutput(none)).toThrow(
      'lossByOutput: "kind" is a loss, like nn.mse(), found undefined',
    );
    expect(() => lossByOutput({ loss: mse() })).toThrow('cannot be called "loss"');
    expect(Object.keys(metricsByOutput({ kind: { accuracy: accuracy() } }))).toEqual(["kind_accuracy"]);
  });

  gpuTest("TR-01 look only at the output of their name", async (gpu) => {
    const store = TensorStore.on(gpu);
    const data = loaderOf(ALL, { batchSize: BATCH });
    const make = (): Trainer<Inputs, { kind: Inputs["image"] }, { kind: Inputs["image"] }> =>
      new Trainer(store, {
        model: ({ image }: Inputs, scope) => ({ kind: linear(IMAGE, 3)(image, scope) }),
        loss: lossByOutput({ kind: crossEntropy() }, { factors: { box: 2 } }),
        optimizer: twoInputs(data).optimizer,
        data,
      });
    expect(make).toThrow('The loss has a factor for "box" and no such term; it has "kind"');
    await store.close();
  });
});
