import { Buffer } from "node:buffer";
import type { Engine } from "../../src/checkpoint/engine/engine.ts";
import { FileEngine } from "../../src/checkpoint/engine/file_engine.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { dropout, linear, relu, sequential } from "../../src/nn/nn.ts";
import { crossEntropy } from "../../src/nn/losses/cross_entropy.ts";
import { adamw } from "../../src/nn/optim/optim.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import type { Storage } from "../../src/storage/storage.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { DataLoader, type DataLoaderOptions } from "../../src/data/data_loader.ts";
import { Trainer, type TrainerOptions } from "../../src/train/trainer.ts";

/** Numbers from [0, 1) that are the same everywhere. */
export function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5 >>> 0;
    return ((state ^ (state >>> 13)) >>> 0) / 2 ** 32;
  };
}

export const FEATURES = 6;
export const CLASSES = 3;
export const HIDDEN = 9;
export const BATCH = 8;

/** Examples of three classes that lie in three corners. */
export function blobs(count: number, options: DataLoaderOptions, seed = 5): DataLoader {
  const random = numbers(seed);
  const inputs = new Float32Array(count * FEATURES);
  const labels = new Uint32Array(count);
  for (let row = 0; row < count; row++) {
    const label = row % CLASSES;
    labels[row] = label;
    for (let column = 0; column < FEATURES; column++) {
      inputs[row * FEATURES + column] = (column % CLASSES === label ? 1 : 0) + 0.5 * (random() - 0.5);
    }
  }
  return DataLoader.from({
    inputs: HostTensor.from(inputs, [count, FEATURES]),
    labels: HostTensor.from(labels, [count]),
  }, options);
}

/**
 * Seven batches an epoch, three examples left over, dropout: everything that a resume may get wrong. The
 * tests keep to these few sizes, because a software adapter takes seconds to compile the first matmul of
 * each.
 */
export function smallRun(overrides: Partial<TrainerOptions> = {}): TrainerOptions {
  return {
    model: sequential(linear(FEATURES, HIDDEN), relu(), dropout(0.25), linear(HIDDEN, CLASSES)),
    loss: crossEntropy(),
    optimizer: adamw({ learningRate: 0.02 }),
    data: blobs(59, { batchSize: BATCH, shuffle: true, dropLast: true }),
    seed: 11,
    ...overrides,
  };
}

/** A trainer with a store of its own on a shared device. */
export interface Fixture {
  readonly store: TensorStore;
  readonly trainer: Trainer;
  /** Every tensor of the store as hexadecimal text, by name. */
  tensors(): Promise<Record<string, string>>;
  close(): Promise<void>;
}

/** Every tensor of a store as hexadecimal text, by name. */
export async function tensorsOf(store: TensorStore): Promise<Record<string, string>> {
  const read = await store.read(store.tensors().map(({ name }) => name));
  return Object.fromEntries([...read].map(([name, { bytes }]) => [name, Buffer.from(bytes).toString("hex")]));
}

export function fixture(gpu: GpuDevice, options: TrainerOptions = smallRun()): Fixture {
  const store = TensorStore.on(gpu);
  const trainer = new Trainer(store, options);
  return {
    store,
    trainer,
    tensors: () => tensorsOf(store),
    async close() {
      await trainer.close();
      await store.close();
    },
  };
}

/** Runs `body` with a trainer and closes everything. */
export async function withTrainer<T>(
  gpu: GpuDevice,
  options: TrainerOptions,
  body: (fixture: Fixture) => Promise<T>,
): Promise<T> {
  const made = fixture(gpu, options);
  try {
    return await body(made);
  } finally {
    await made.close();
  }
}

/** An engine over a storage in memory. Each call is another process to the engine, on the same files. */
export function engineOn(storage: Storage = new MemoryStorage()): Promise<Engine> {
  return FileEngine.open(storage);
}
