/** Cairn, as one of the contenders of `main.ts`; see `bench/peers/contender.mjs`. */
import process from "node:process";
import type { BatchSource } from "../../src/data/batch_source.ts";
import { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { Executable } from "../../src/graph/executable.ts";
import { constant, matmul } from "../../src/graph/ops.ts";
import { type Initializer, zeros } from "../../src/nn/initializers.ts";
import * as nn from "../../src/nn/nn.ts";
import * as optim from "../../src/nn/optim/optim.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { type Job, numbers, samplePlaces, serve } from "../peers/contender.mjs";
import { firstWeights, type JobSpec, type LstmJob, type MatmulJob, type MlpJob } from "./jobs.ts";

const provider = process.argv[2];
const gpu = await GpuDevice.open(provider === "dawn" || provider === "native" ? { provider } : {});

await serve((job: JobSpec) => {
  if (job.kind === "matmul") return matmulJob(job);
  return job.kind === "mlp" ? mlpJob(job) : lstmJob(job);
});

async function matmulJob({ m, n, k, transposeA, transposeB }: MatmulJob): Promise<Job> {
  const a = constant(HostTensor.from(numbers(m * k, 1), transposeA ? [k, m] : [m, k]));
  const b = constant(HostTensor.from(numbers(k * n, 2), transposeB ? [n, k] : [k, n]));
  const outputs = { product: matmul(a, b, { transposeA, transposeB }) };
  const executable = await Executable.compile(gpu, { inputs: [], outputs, parameters: noParameter });
  const run = async (repetitions: number): Promise<void> => {
    for (let repetition = 0; repetition < repetitions; repetition++) executable.run({});
    await gpu.idle();
  };
  await run(1);
  return {
    run,
    results: async () => {
      const [product] = await executable.read("product");
      const values = product?.toArray() ?? [];
      return samplePlaces(values.length).map((place) => Number(values[place]));
    },
  };
}

function noParameter(name: string): never {
  throw new Error(`there is no parameter ${name}`);
}

function mlpJob({ sizes, batch, learningRate, steps }: MlpJob): Promise<Job> {
  const shapes = sizes.slice(1).map((outputs, index) => [sizes[index] ?? 0, outputs] as const);
  const layers = shapes.flatMap(([inputs, outputs], index) => {
    const weightInitializer = weightsOfLayer(index, inputs, outputs);
    const linear = nn.linear(inputs, outputs, { weightInitializer, biasInitializer: zeros() });
    return index < shapes.length - 1 ? [linear, nn.relu()] : [linear];
  });
  const data = oneBatch(batch, [sizes[0] ?? 0], sizes.at(-1) ?? 1, steps);
  return trainingJob(nn.sequential(...layers), data, learningRate);
}

function lstmJob({ inputs, hidden, time, classes, batch, learningRate, steps }: LstmJob): Promise<Job> {
  const model = nn.sequential(
    nn.lstm(inputs, hidden, {
      bias: false,
      returns: "last",
      weightInitializer: weightsOfLayer(0, inputs, 4 * hidden),
      recurrentInitializer: weightsOfLayer(1, hidden, 4 * hidden),
    }),
    nn.linear(hidden, classes, {
      weightInitializer: weightsOfLayer(2, hidden, classes),
      biasInitializer: zeros(),
    }),
  );
  return trainingJob(model, oneBatch(batch, [time, inputs], classes, steps), learningRate);
}

function weightsOfLayer(index: number, inputs: number, outputs: number): Initializer {
  return (shape) => constant(HostTensor.from(firstWeights(index, inputs, outputs), shape));
}

/** A repetition is an epoch, in which each batch is the same. */
async function trainingJob(model: nn.Layer, data: BatchSource, learningRate: number): Promise<Job> {
  const store = TensorStore.on(gpu);
  const trainer = new Trainer(store, {
    model,
    loss: nn.crossEntropy(),
    optimizer: optim.adam({ learningRate }),
    data,
    metrics: {},
  });
  let epochs = 0;
  const run = async (repetitions: number): Promise<void> => {
    epochs += repetitions;
    await trainer.train({ epochs, progress: false, handleSignals: false });
    await gpu.idle();
  };
  await run(1);
  const last = store.tensors().findLast(({ name }) => name.endsWith("weight") && name.startsWith("model"));
  return { run, results: () => weightsOf(store, last?.name ?? "") };
}

/** The last layer's weights, `[inputs, outputs]` as those of the others. */
async function weightsOf(store: TensorStore, name: string): Promise<number[]> {
  const weight = (await store.read([name])).get(name);
  const [outputs = 0, inputs = 0] = weight?.shape ?? [];
  const values = weight?.toArray() ?? [];
  return Array.from(
    { length: inputs * outputs },
    (_, place) => Number(values[(place % outputs) * inputs + Math.floor(place / outputs)]),
  );
}

function oneBatch(size: number, shape: readonly number[], classes: number, steps: number): BatchSource {
  const batch = {
    inputs: numbers(shape.reduce((count, length) => count * length, size), 100),
    labels: Uint32Array.from({ length: size }, (_, row) => row % classes),
  };
  return {
    batchSize: size,
    exampleCount: size * steps,
    inputs: { dtype: "f32", shape },
    labels: { dtype: "u32", shape: [] },
    batchAt: () => batch,
  };
}
