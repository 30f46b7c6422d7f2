import { BatchFeed } from "../../src/data/batch_feed.ts";
import { type BatchSource, trainingBatches } from "../../src/data/batch_source.ts";
import { DataLoader } from "../../src/data/data_loader.ts";
import type { Example } from "../../src/data/example.ts";
import { MapLoader } from "../../src/data/map_loader.ts";
import * as nn from "../../src/nn/nn.ts";
import { sgd } from "../../src/nn/optim/optim.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { availableParallelism } from "node:os";
import { interleavedWithCpu, type Measured, median, ratioOf } from "../interleaved.ts";
import type { MeasureRows, UseRow } from "./row.ts";

const [FEATURES, BATCH, STEPS] = [512, 64, 40];
const COUNT = BATCH * STEPS;

/** A way to read examples, beside the work of a GPU. */
interface Reading {
  readonly name: string;
  /** Width of the hidden layer: how long a step takes. */
  readonly width: number;
  readonly read: (index: number) => Example | Promise<Example>;
}

/**
 * An epoch of training on examples that are read, each by a call of its own, beside the slower of two: the same epoch
 * on a tensor in memory, and reading them without training. Reading waits, as for a network, about as long as a step
 * takes or longer, or computes on this thread, as a decoder does. Where the GPU is the processor, what both take of it
 * bounds the throughput, too.
 */
export const dataRows: MeasureRows = async ({ rounds }) => {
  await using store = await TensorStore.open();
  const readings: readonly Reading[] = [
    { name: "waits as long", width: 512, read: async (index) => (await wait(20), exampleOf(index)) },
    { name: "waits longer", width: 128, read: async (index) => (await wait(30), exampleOf(index)) },
    { name: "decodes on this thread", width: 512, read: (index) => decoded(index) },
  ];
  const rows: UseRow[] = [];
  for (const reading of readings) rows.push(await overlapOf(store, reading, rounds));
  return rows;
};

async function overlapOf(
  store: TensorStore,
  { name, width, read }: Reading,
  rounds: number,
): Promise<UseRow> {
  const map = await MapLoader.open({ length: COUNT, get: read }, {
    batchSize: BATCH,
    concurrency: BATCH,
    inputs: { dtype: "f32", shape: [FEATURES] },
    labels: { dtype: "f32", shape: [1] },
  });
  const examples = Array.from({ length: COUNT }, (_, index) => exampleOf(index));
  const tensors = DataLoader.from({
    inputs: HostTensor.from(examples.flatMap(({ inputs }) => [...inputs]), [COUNT, FEATURES], "f32"),
    labels: HostTensor.from(examples.flatMap(({ labels }) => [...labels]), [COUNT, 1], "f32"),
  }, { batchSize: BATCH });
  // One store a run, as a trainer has one for itself.
  const trained = (
    data: BatchSource,
  ): { train: () => Promise<number>; close: () => Promise<void> } => {
    const own = TensorStore.on(store.gpu);
    const trainer = new Trainer(own, {
      model: nn.sequential(
        nn.linear(FEATURES, width),
        nn.relu(),
        nn.linear(width, width),
        nn.relu(),
        nn.linear(width, 1),
      ),
      loss: nn.mse(),
      optimizer: sgd({ learningRate: 0 }),
      data,
    });
    const train = async (): Promise<number> => {
      await trainer.train({ epochs: trainer.epoch + 1, progress: false });
      await store.gpu.idle();
      return trainer.history.lastEpoch?.metrics.loss ?? NaN;
    };
    return { train, close: async () => (await trainer.close(), await own.close()) };
  };
  const [both, alone] = [trained(map), trained(tensors)];
  // With a rate of 0 every epoch has the same loss, of the same examples.
  const losses = new Set<number>();
  const check = (loss: number): void => {
    if (losses.add(loss).size > 1 || !Number.isFinite(loss)) throw new Error(`Losses differ: ${[...losses]}`);
  };
  const measuredRuns = await interleavedWithCpu<number>([
    { name: "both", run: both.train, check },
    { name: "gpu", run: alone.train, check },
    {
      name: "reading",
      run: () => readAll(map),
      check: (bytes) => {
        if (bytes !== COUNT * FEATURES * 4) throw new Error(`${bytes} bytes were read`);
      },
    },
  ], rounds);
  await both.close();
  await alone.close();
  const of = (name: string): Measured => measuredRuns.get(name) ?? { ms: [], cpuMs: [] };
  const [together, gpu, reading] = [of("both"), of("gpu"), of("reading")];
  // A GPU that is this processor computes on the threads that read: no less than all of them together take.
  const least = gpu.ms.map((gpuMs, round) => {
    const cpuMs = (gpu.cpuMs[round] ?? NaN) + (reading.cpuMs[round] ?? NaN);
    return Math.max(
      gpuMs,
      reading.ms[round] ?? NaN,
      store.gpu.isCpuAdapter ? cpuMs / availableParallelism() : 0,
    );
  });
  const { measured, spread } = ratioOf(least, together.ms);
  const { measured: slower } = ratioOf(
    gpu.ms.map((ms, at) => Math.max(ms, reading.ms[at] ?? NaN)),
    together.ms,
  );
  const ms = (list: readonly number[]): string => (median(list) / STEPS).toFixed(1);
  return {
    name: `throughput by the most possible: reading ${name}`,
    measured,
    target: 0.9,
    bound: "at least",
    spread,
    detail:
      `by the slower alone ${slower.toFixed(2)}; a batch: both ${ms(together.ms)} ms, GPU ${
        ms(gpu.ms)
      } ms, ` +
      `reading ${ms(reading.ms)} ms, processor ${ms(gpu.cpuMs)} and ${
        ms(reading.cpuMs)
      } ms; ${store.gpu.adapterName}`,
  };
}

/** Reads an epoch as a training does, and gives the bytes of its inputs. */
async function readAll(data: BatchSource): Promise<number> {
  const batches = trainingBatches(data);
  const requestOf = (position: number) => ({ seed: 0, epoch: 0, position });
  const feed = new BatchFeed(data, (position) => position < batches ? requestOf(position) : undefined);
  let bytes = 0;
  for (let position = 0; position < batches; position++) {
    const { inputs } = await feed.take(position, requestOf(position));
    bytes += (inputs as Float32Array).byteLength;
  }
  await feed.close();
  return bytes;
}

function exampleOf(index: number): { inputs: Float32Array; labels: Float32Array } {
  const inputs = Float32Array.from({ length: FEATURES }, (_, at) => ((index * 31 + at * 7) % 64) / 64);
  return { inputs, labels: Float32Array.of(index % 2) };
}

/** {@link exampleOf}, after about as much work as unpacking a small image is. */
function decoded(index: number): Example {
  const { inputs, labels } = exampleOf(index);
  let state = index + 1;
  for (let step = 0; step < 20_000; step++) state = Math.imul(state ^ (state >>> 15), 0x2c1b_3c6d) + step | 0;
  // Keeps the work: nothing else depends on it.
  return state === 0.5 ? { inputs: labels, labels } : { inputs, labels };
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
