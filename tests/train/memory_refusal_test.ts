import { describe, expect, test } from "bun:test";
import { CairnError } from "../../src/base/errors.ts";
import { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { linear } from "../../src/nn/nn.ts";
import { mse } from "../../src/nn/losses/mse.ts";
import { adamw } from "../../src/nn/optim/optim.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { DataLoader } from "../../src/data/data_loader.ts";
import { Trainer, type TrainerOptions } from "../../src/train/trainer.ts";
import { FakeDevice } from "../helpers/fake_device.ts";
import { gpuTest, gpuTestOptions } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";

/** 100 x 50 weights and 50 biases: 20,480 bytes with padding, four times that with moments and gradients. */
function run(): TrainerOptions {
  return {
    model: linear(100, 50),
    loss: mse(),
    optimizer: adamw({ learningRate: 0.01 }),
    data: DataLoader.from({
      inputs: HostTensor.from(new Float32Array(400), [4, 100]),
      labels: HostTensor.from(new Float32Array(200), [4, 50]),
    }, { batchSize: 4 }),
  };
}

const STATE_BYTES = 4 * 20_480;

describe("a model that does not fit", () => {
  test("MP-03 is refused before anything is allocated, with the sum", async () => {
    const fake = new FakeDevice();
    const store = await TensorStore.open({ device: fake.device, memoryBytes: STATE_BYTES - 1 });
    const error = await thrownBy(() => new Trainer(store, run())) as CairnError;
    expect(error.code).toBe("out_of_memory");
    expect(error.details).toEqual({ limit: STATE_BYTES - 1, value: STATE_BYTES });
    expect(error.message).toContain(
      "The run does not fit: it takes 81.9 kB: parameters 20.5 kB, gradients 20.5 kB, " +
        'optimizer.m 20.5 kB, optimizer.v 20.5 kB, and "made up" has 81.9 kB',
    );
    expect(fake.allocations).toBe(0);
    expect(store.groups()).toEqual([]);
    await store.close();
  });

  test("MP-03 counts the gradients of a piece, where batches are computed in pieces", async () => {
    const fake = new FakeDevice();
    const store = await TensorStore.open({ device: fake.device, memoryBytes: STATE_BYTES + 10_000 });
    const error = await thrownBy(() => new Trainer(store, { ...run(), microBatchSize: 2 })) as CairnError;
    expect(error.details.value).toBe(STATE_BYTES / 4 * 5);
    expect(fake.allocations).toBe(0);
    await store.close();
  });

  test("MP-03 leaves nothing behind where only the GPU knows that it is full", async () => {
    for (let full = 0; full < 3; full++) {
      const fake = new FakeDevice();
      fake.allocate = (index) => index === full ? "out-of-memory" : undefined;
      const store = await TensorStore.open({ device: fake.device });
      const trainer = new Trainer(store, run());
      for (const _ of [1, 2]) {
        const error = await thrownBy(() => trainer.train({ steps: 1, progress: false })) as CairnError;
        expect(error.code).toBe("out_of_memory");
        expect(error.message).toContain("The run does not fit: it takes 81.9 kB: parameters 20.5 kB, ");
        expect(fake.live).toEqual([]);
        expect(store.groups()).toEqual([]);
      }
      await trainer.close();
      await store.close();
    }
  });

  test("MP-03 of a store of one's own is refused by the next call", async () => {
    const fake = new FakeDevice();
    fake.allocate = () => "out-of-memory";
    const store = await TensorStore.open({ device: fake.device });
    store.define("group", [{ name: "a", dtype: "f32", shape: [4] }]);
    const error = await thrownBy(async () => {
      await store.read(["group.a"]);
      await store.read(["group.a"]);
    }) as CairnError;
    expect(error.code).toBe("out_of_memory");
    await store.close();
  });

  gpuTest("MP-03 is refused when its step does not fit, and its gradients are freed", async () => {
    const gpu = await GpuDevice.open({ ...gpuTestOptions(), memoryBytes: STATE_BYTES + 4_000 });
    const store = TensorStore.on(gpu);
    const trainer = new Trainer(store, run());
    const state = gpu.counters.buffers;
    const error = await thrownBy(() => trainer.train({ steps: 1, progress: false })) as CairnError;
    expect(error.code).toBe("out_of_memory");
    expect(error.message).toMatch(/"train step" does not fit: it takes .*kB: .*workspace .*are taken/);
    expect(gpu.counters.buffers).toBe(state);
    await trainer.close();
    await store.close();
    await gpu.close();
  });
});
