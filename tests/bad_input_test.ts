// What a user gets to read when something outside the program is not as it has to be: the code and the message, through
// the public entry. That nothing on disk was changed is checked where files are involved.
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "bun:test";
import {
  CairnError,
  DataLoader,
  FileEngine,
  GpuDevice,
  HostTensor,
  nn,
  openCheckpoint,
  optim,
  Snapshot,
  TensorStore,
  Trainer,
} from "./helpers/all_doors.ts";
import { fakeHost } from "./helpers/fake_gpu.ts";
import { gpuTest } from "./helpers/gpu.ts";
import { inFolder } from "./helpers/in_folder.ts";

async function failure(work: () => unknown): Promise<CairnError> {
  try {
    await work();
  } catch (error) {
    if (error instanceof CairnError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

function smallTrainer(store: TensorStore, data = DataLoader.from(points(32), { batchSize: 8 })): Trainer {
  return new Trainer(store, {
    model: nn.sequential(nn.linear(4, 8), nn.relu(), nn.linear(8, 2)),
    loss: nn.crossEntropy(),
    optimizer: optim.sgd({ learningRate: 0.1 }),
    data,
    seed: 1,
  });
}

function points(count: number) {
  return {
    inputs: HostTensor.from(Float32Array.from({ length: count * 4 }, (_, i) => Math.sin(i)), [count, 4]),
    labels: HostTensor.from(Uint32Array.from({ length: count }, (_, i) => i % 2), [count]),
  };
}

/** A checkpoint on disk, and everything that lies in its directory. */
async function savedCheckpoint(directory: string): Promise<string> {
  const { path } = await Snapshot.of({ weights: HostTensor.from([1, 2, 3, 4], [4], "f32"), epoch: 2 })
    .save(join(directory, "good.cairn"));
  return path;
}

describe("bad input", () => {
  test("no adapter: says what to install", async () => {
    const host = fakeHost({
      runtime: "deno",
      navigatorGpu: { requestAdapter: () => Promise.resolve(null) } as unknown as GPU,
    });
    const error = await failure(() => GpuDevice.open({}, host));
    expect(error.code).toBe("no_adapter");
    expect(error.message).toMatch(/adapter/);
    expect(error.message).toMatch(/[Ii]nstall/);
  });

  test("no webgpu package: says how to add it", async () => {
    const host = fakeHost({ runtime: "bun", navigatorGpu: undefined });
    const error = await failure(() => GpuDevice.open({}, host));
    expect(error.code).toBe("no_webgpu");
    expect(error.message).toMatch(/bun add webgpu/);
  });

  gpuTest("a tensor whose shape does not fit is refused, and the store keeps what it had", async (gpu) => {
    const store = TensorStore.on(gpu);
    store.define("model", [{ name: "weight", dtype: "f32", shape: [2, 2] }]);
    store.write({ "model.weight": HostTensor.from([1, 2, 3, 4], [2, 2], "f32") });
    const shape = await failure(() => store.write({ "model.weight": HostTensor.from([9, 9], [2], "f32") }));
    expect(shape.code).toBe("shape_mismatch");
    expect(shape.message).toMatch(/model\.weight.*\[2, 2\]|\[2\].*\[2, 2\]/);
    const dtype = await failure(() =>
      store.write({ "model.weight": HostTensor.from([9, 9, 9, 9], [2, 2], "i32") })
    );
    expect(dtype.code).toBe("dtype_mismatch");
    expect(dtype.message).toMatch(/i32/);
    const kept = (await store.read(["model.weight"])).get("model.weight");
    expect([...(kept?.toArray() ?? [])]).toEqual([1, 2, 3, 4]);
    await store.close();
  });

  gpuTest("a model that does not fit its data is refused with both shapes", async (gpu) => {
    const store = TensorStore.on(gpu);
    const misfit = () =>
      new Trainer(store, {
        model: nn.linear(5, 2),
        loss: nn.crossEntropy(),
        optimizer: optim.sgd({ learningRate: 0.1 }),
        data: DataLoader.from(points(32), { batchSize: 8 }),
      });
    expect(misfit).toThrow(TypeError);
    expect(misfit).toThrow(/\[8, 4\]/);
    await store.close();
  });

  gpuTest("a loader that yields a short batch stops the training with both counts", async (gpu) => {
    const store = TensorStore.on(gpu);
    const honest = DataLoader.from(points(32), { batchSize: 8 });
    const short = {
      batchSize: 8,
      exampleCount: 32,
      inputs: honest.inputs,
      labels: honest.labels,
      batchAt: (request: Parameters<DataLoader["batchAt"]>[0]) => {
        const { inputs, labels } = honest.batchAt(request);
        return { inputs: (inputs as Float32Array).slice(0, 12), labels: (labels as Uint32Array).slice(0, 3) };
      },
    };
    const trainer = smallTrainer(store, short as unknown as DataLoader);
    const error = await failure(() => trainer.train({ epochs: 1, progress: false }));
    expect(error.code).toBe("short_batch");
    expect(error.message).toMatch(/3/);
    expect(error.message).toMatch(/8/);
    await trainer.close();
    await store.close();
  });

  gpuTest("an unknown field in a name is refused when it is configured, with the known ones", async (gpu) => {
    const store = TensorStore.on(gpu);
    const trainer = smallTrainer(store);
    const error = await failure(() => trainer.autoSave({ interval: 1, name: "run-{epok:02d}" }));
    expect(error.code).toBe("unknown_field");
    expect(error.message).toMatch(/epok/);
    expect(error.message).toMatch(/epoch/);
    await trainer.close();
    await store.close();
  });

  test("a directory that cannot be written says where, and what the system said", () =>
    inFolder(async (directory) => {
      const file = join(directory, "a-file");
      writeFileSync(file, "not a directory");
      const error = await failure(() => Snapshot.of({ epoch: 1 }).save(join(file, "inside", "a.cairn")));
      expect(error.code).toBe("storage_failed");
      expect(error.message).toContain(file);
      expect(readFileSync(file, "utf8")).toBe("not a directory");
      expect(readdirSync(directory)).toEqual(["a-file"]);
    }));

  test("a truncated checkpoint is refused at every length, and stays as it is", () =>
    inFolder(async (directory) => {
      const bytes = readFileSync(await savedCheckpoint(directory));
      const path = join(directory, "cut.cairn");
      for (const length of [0, 1, 63, 64, 4095, 4096, bytes.length - 128, bytes.length - 1]) {
        writeFileSync(path, bytes.subarray(0, length));
        const error = await failure(() => openCheckpoint(path));
        expect(["truncated", "not_a_container"]).toContain(error.code);
        expect(error.message).toContain("cut");
        expect(statSync(path).size).toBe(length);
      }
    }));

  test("an altered checkpoint is refused with the name of the damaged tensor, and the one before is resumed from", () =>
    inFolder(async (directory) => {
      const engine = await FileEngine.open(directory);
      for (const step of [1, 2]) {
        const state = { weights: HostTensor.from([step, step, step, step], [4], "f32"), step };
        await engine.create(step);
        await engine.save({ state });
        await engine.commit(step);
      }
      const newest = engine.pathOf("2");
      const bytes = readFileSync(newest);
      bytes[4096] = (bytes[4096] ?? 0) ^ 1;
      writeFileSync(newest, bytes);
      const error = await failure(() => Snapshot.load(newest));
      expect(error.code).toBe("checksum_mismatch");
      expect(error.message).toMatch(/weights/);
      const before = await Snapshot.load(engine.pathOf("1"));
      expect(before.step).toBe(1);
      expect(Buffer.compare(readFileSync(newest), bytes)).toBe(0);
    }));

  test("a file of another kind is refused as no container", () =>
    inFolder(async (directory) => {
      const path = join(directory, "notes.cairn");
      writeFileSync(path, "these are my notes\n".repeat(400));
      const error = await failure(() => openCheckpoint(path));
      expect(error.code).toBe("not_a_container");
      expect(error.message).toContain("notes");
      expect(readFileSync(path, "utf8")).toContain("these are my notes");
    }));
});
