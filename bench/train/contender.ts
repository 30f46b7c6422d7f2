/** Cairn, as one of the contenders of `main.ts`; see `bench/peers/contender.mjs`. */
import process from "node:process";
import type { BatchSource } from "../../src/data/batch_source.ts";
import type { Dataset } from "../../src/data/data_loader.ts";
import { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { Executable } from "../../src/graph/executable.ts";
import { constant, matmul } from "../../src/graph/ops.ts";
import * as nn from "../../src/nn/nn.ts";
import * as optim from "../../src/nn/optim/optim.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { type Job, numbers, samplePlaces, serve } from "../peers/contender.mjs";
import type { JobSpec, MatmulJob, TrainingJob } from "./jobs.ts";
import { modelOf } from "./models.ts";

const provider = process.argv[2];
const gpu = await GpuDevice.open(provider === "dawn" || provider === "native" ? { provider } : {});

await serve((job: JobSpec) => job.kind === "matmul" ? matmulJob(job) : trainingJob(job));

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

/** A repetition is an epoch, in which each batch is the same. */
async function trainingJob(job: TrainingJob): Promise<Job> {
  const { model, batch, resultsOf } = modelOf(job);
  const store = TensorStore.on(gpu);
  const trainer = new Trainer(store, {
    model,
    loss: nn.crossEntropy(),
    optimizer: optim.adam({ learningRate: job.learningRate }),
    data: oneBatch(batch, job.batch, job.steps),
    metrics: {},
  });
  let epochs = 0;
  const run = async (repetitions: number): Promise<void> => {
    epochs += repetitions;
    await trainer.train({ epochs, progress: false, handleSignals: false });
    await gpu.idle();
  };
  await run(1);
  return { run, results: () => resultsOf(store) };
}

/** `batch` over and over. */
function oneBatch({ inputs, labels }: Dataset, size: number, steps: number): BatchSource {
  const batch = { inputs: inputs.toArray(), labels: labels.toArray() };
  return {
    batchSize: size,
    exampleCount: size * steps,
    inputs: { dtype: inputs.dtype, shape: inputs.shape.slice(1) },
    labels: { dtype: labels.dtype, shape: labels.shape.slice(1) },
    batchAt: () => batch,
  };
}
