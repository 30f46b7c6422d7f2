import { describe, expect } from "bun:test";
import { embedding, flatten, linear, sequential } from "../../src/nn/nn.ts";
import { crossEntropy } from "../../src/nn/losses/cross_entropy.ts";
import { adamw } from "../../src/nn/optim/optim.ts";
import { DataLoader } from "../../src/data/data_loader.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { Trainer, type TrainerOptions } from "../../src/train/trainer.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { engineOn, tensorsOf } from "./fixtures.ts";

const WORDS = 500;
const WIDTH = 8;

function run(): TrainerOptions {
  const inputs = Uint32Array.from({ length: 3 * 32 }, (_, i) => (i * 37) % WORDS);
  const labels = Uint32Array.from({ length: 32 }, (_, i) => i % 3);
  return {
    model: sequential(embedding(WORDS, WIDTH), flatten(), linear(3 * WIDTH, 3)),
    loss: crossEntropy(),
    optimizer: adamw({ learningRate: 0.01 }),
    data: DataLoader.from({
      inputs: HostTensor.from(inputs, [32, 3]),
      labels: HostTensor.from(labels),
    }, { batchSize: 8, shuffle: true }),
    seed: 4,
  };
}

describe("an embedding that is larger than a slab", () => {
  gpuTest("MP-02 has the bits that it has within one, trained, saved and resumed", async (gpu) => {
    const storage = new MemoryStorage();
    const trainTo = async (slabBytes: number | undefined, steps: number): Promise<unknown> => {
      const store = TensorStore.on(gpu, { slabBytes });
      const trainer = new Trainer(store, run());
      trainer.autoSave({ savePath: await engineOn(storage), everySteps: 4 });
      await trainer.resume();
      await trainer.train({ steps, progress: false });
      const state = { slabs: store.group("model").slabs.length, tensors: await tensorsOf(store) };
      await trainer.close();
      await store.close();
      return state;
    };
    const first = await trainTo(1024, 4) as { slabs: number };
    expect(first.slabs).toBe(2);
    const { tensors: split } = await trainTo(1024, 8) as { tensors: unknown };
    const whole = TensorStore.on(gpu);
    const trainer = new Trainer(whole, run());
    await trainer.train({ steps: 8, progress: false });
    expect(whole.group("model").slabs.length).toBe(1);
    expect(await tensorsOf(whole)).toEqual(split as Record<string, string>);
    await trainer.close();
    await whole.close();
  });
});
