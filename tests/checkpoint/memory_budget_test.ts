import type { ByteSink } from "../../src/container/source.ts";
import { describe, expect, test } from "bun:test";
import { CairnError } from "../../src/base/errors.ts";
import { DecoupledEngine } from "../../src/checkpoint/compose/decoupled_engine.ts";
import type { Engine } from "../../src/checkpoint/engine/engine.ts";
import { MirrorEngine } from "../../src/checkpoint/compose/mirror_engine.ts";
import { Snapshot } from "../../src/checkpoint/snapshot.ts";
import { StoreCopy } from "../../src/checkpoint/capture/store_copy.ts";
import { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { FakeDevice } from "../helpers/fake_device.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { HookedStorage } from "../helpers/hooked_storage.ts";
import { contentsOf, errorOf, fileNames, fillStore, memoryEngine, smallStore } from "./fixtures.ts";

const MIB = 1 << 20;

/** What a checkpoint holds of a store, which is overwritten with it. */
async function savedContents(
  engine: Engine,
  tag: string | number,
  store: TensorStore,
): Promise<Record<string, string>> {
  const checkpoint = await engine.load(tag);
  await checkpoint.loadInto(store);
  await checkpoint.close();
  return await contentsOf(store);
}

/** A store of three slabs of 12 MiB on a made-up device, which does not fit into the staging memory. */
async function largeStore(): Promise<{ store: TensorStore; fill: (value: number) => void }> {
  const gpu = await GpuDevice.open({ device: new FakeDevice().device });
  const store = TensorStore.on(gpu, { slabBytes: 12 * MIB });
  const names = ["a", "b", "c"];
  store.define("model", names.map((name) => ({ name, dtype: "u8", shape: [12 * MIB] })));
  const fill = (value: number): void => {
    const tensor = HostTensor.fromBytes(new Uint8Array(12 * MIB).fill(value), "u8", [12 * MIB]);
    store.write(Object.fromEntries(names.map((name) => [`model.${name}`, tensor])));
  };
  return { store, fill };
}

/** The values of the bytes that a checkpoint of {@link largeStore} holds, each once. */
async function savedValues(engine: Engine, tag: string): Promise<number[]> {
  const checkpoint = await engine.load(tag);
  await checkpoint.verify();
  const values = new Set<number>();
  for (const name of ["a", "b", "c"]) {
    const { bytes } = await checkpoint.readObject(`tensors/model.${name}`) as HostTensor;
    for (let at = 0; at < bytes.byteLength; at += 4096) values.add(bytes[at] ?? -1);
  }
  await checkpoint.close();
  return [...values];
}

describe("a store without GPU memory for a copy", () => {
  gpuTest("TS-12 is read from its own memory before save resolves, and the handle says so", async (gpu) => {
    const engine = await memoryEngine();
    const store = smallStore(gpu);
    fillStore(store, 1);
    const saved = await contentsOf(store);
    const snapshot = new Snapshot(engine, { store, history: new Float32Array(4) }, { memoryBudgetBytes: 0 });
    const pending = await snapshot.save(1);
    expect(pending.staging).toBe("streamed");
    fillStore(store, 2);
    expect(await pending.wait()).toMatchObject({ staging: "streamed", streamedBytes: store.stats().bytes });
    expect(await savedContents(engine, 1, store)).toEqual(saved);
    await snapshot.close();
    await store.close();
  });

  gpuTest(
    "TS-12 with memory for a part, that part is copied, and training waits only for the rest",
    async (gpu) => {
      const engine = await memoryEngine();
      const store = smallStore(gpu);
      const [model, moments] = store.groups();
      const bytes = store.stats().bytes;
      const budgets = [
        [moments?.byteLength ?? 0, model?.byteLength ?? 0],
        [(moments?.byteLength ?? 0) - 1, bytes - (moments?.slabs.at(-1)?.byteLength ?? 0)],
        [bytes - 1, model?.slabs[0]?.byteLength ?? 0],
        [bytes, 0],
      ];
      for (const [index, [memoryBudgetBytes = 0, streamedBytes = 0]] of budgets.entries()) {
        fillStore(store, index);
        const saved = await contentsOf(store);
        const snapshot = new Snapshot(engine, { store }, { memoryBudgetBytes });
        const pending = await snapshot.save(index);
        fillStore(store, 99);
        const report = await pending.wait();
        expect([index, report.streamedBytes]).toEqual([index, streamedBytes]);
        expect(report.staging).toBe(streamedBytes === 0 ? "shadow" : "streamed");
        expect(await savedContents(engine, index, store)).toEqual(saved);
        await snapshot.close();
      }
      await store.close();
    },
  );

  test("TS-12 no more memory is taken on the GPU than the budget", async () => {
    const fake = new FakeDevice();
    const store = smallStore(await GpuDevice.open({ device: fake.device }));
    const slabs = store.groups().flatMap(({ slabs }) => slabs);
    for (const memoryBudgetBytes of [0, 1, 4096, 9000, store.stats().bytes - 1, Infinity]) {
      const snapshot = new Snapshot(await memoryEngine(), { store }, { memoryBudgetBytes });
      const { streamedBytes } = await (await snapshot.save(1)).wait();
      const copied = new Set(fake.live.map((label) => /^shadow .*?of (.* slab .*)/.exec(label)?.[1]));
      const taken = slabs.reduce(
        (sum, { buffer, byteLength }) => sum + (copied.has(buffer.label) ? byteLength : 0),
        0,
      );
      expect(taken).toBeLessThanOrEqual(memoryBudgetBytes);
      expect(taken + streamedBytes).toBe(store.stats().bytes);
      await snapshot.close();
    }
    await store.close();
    await store.gpu.close();
    expect(fake.live).toEqual([]);
  });

  gpuTest("TS-12 a copy for another selection of tensors stays within the budget, too", async (gpu) => {
    const store = smallStore(gpu);
    const [model, moments] = store.groups();
    const copy = new StoreCopy(store, { memoryBudgetBytes: model?.byteLength ?? 0 });
    for (const left of [model, moments, undefined]) {
      const { buffersCreated } = gpu.counters;
      const moment = copy.take(new Set(left?.tensors.map(({ name }) => name)));
      expect(await moment.staging()).toEqual({
        shadowBytes: model?.byteLength ?? 0,
        streamedBytes: left === undefined ? model?.byteLength ?? 0 : 0,
      });
      expect(gpu.counters.buffersCreated - buffersCreated).toBeLessThanOrEqual(
        2 + (model?.slabs.length ?? 0),
      );
      let byteLength = 0;
      const sink: ByteSink = {
        write: (piece) => {
          byteLength += piece.byteLength;
          return Promise.resolve();
        },
      };
      await moment.writeTo(sink, { onFixed: () => {} });
      expect(byteLength).toBe(left === undefined ? store.stats().bytes : model?.byteLength ?? 0);
      moment.release();
    }
    copy.close();
    await store.close();
  });

  test("TS-12 changed at any moment before save resolves, the save fails or is of the call's moment", async () => {
    const { store, fill } = await largeStore();
    /** Saves, and changes the store at one of the storage's writes, or at the sync after them. */
    const saveChangedAt = async (at: number | "sync"): Promise<{ isSaved: boolean; writes: number }> => {
      fill(1);
      let writes = 0;
      const storage = new HookedStorage(new MemoryStorage(), {
        before: ({ op }) => {
          if (op === at || (op === "write" && writes++ === at)) fill(2);
        },
      });
      const engine = await memoryEngine(storage, { codec: "raw", verifyEvery: 0 });
      const snapshot = new Snapshot(engine, { store }, { memoryBudgetBytes: 0 });
      const pending = await snapshot.save("a");
      await pending.settled();
      if (pending.done) expect(await savedValues(engine, "a")).toEqual([1]);
      else {
        expect((await errorOf(pending.wait())).code).toBe("state_changed");
        expect(await fileNames(storage)).toEqual([]);
      }
      await snapshot.close();
      return { isSaved: pending.done, writes };
    };
    const { isSaved, writes } = await saveChangedAt("sync");
    expect(isSaved).toBe(true);
    expect((await saveChangedAt(0)).isSaved).toBe(false);
    for (const part of [1 / 4, 1 / 2, 3 / 4]) await saveChangedAt(Math.floor(writes * part));
    await store.gpu.close();
  });

  gpuTest("TS-12 a caller that does not await save gets an error, and never half of a step", async (gpu) => {
    const storage = new MemoryStorage();
    const store = smallStore(gpu);
    const { buffer } = store.tensor("model.0.weight").range;
    const work: (() => unknown)[] = [
      () => fillStore(store, 2),
      () => {
        const encoder = gpu.device.createCommandEncoder();
        encoder.clearBuffer(buffer);
        gpu.submit(encoder);
      },
    ];
    for (const next of work) {
      const snapshot = new Snapshot(await memoryEngine(storage), { store }, { memoryBudgetBytes: 0 });
      const saving = snapshot.save(1);
      next();
      const error = await errorOf((await saving).wait());
      expect([error.code, error.message]).toEqual([
        "state_changed",
        `Cannot save: the GPU was given other work while ${store.stats().bytes} bytes of tensors were read, ` +
        "for a copy of which it has no memory. The save might have mixed two steps; await save() before the next step",
      ]);
      expect(await fileNames(storage)).toEqual([]);
      await snapshot.close();
    }
    await store.close();
  });

  gpuTest("TS-12 reading the tensors meanwhile, or work on other buffers, does no harm", async (gpu) => {
    const engine = await memoryEngine();
    const store = smallStore(gpu);
    const other = TensorStore.on(gpu);
    other.define("x", [{ name: "y", dtype: "f32", shape: [1] }]);
    const snapshot = new Snapshot(engine, { store }, { memoryBudgetBytes: 0 });
    const saving = snapshot.save(1);
    other.write({ "x.y": HostTensor.from([1]) });
    await contentsOf(store);
    const another = new Snapshot(await memoryEngine(), { other });
    await (await another.save(2)).wait();
    expect((await (await saving).wait()).staging).toBe("streamed");
    for (const each of [snapshot, another]) await each.close();
    for (const each of [store, other]) await each.close();
  });

  gpuTest("TS-12 every engine saves it, also those that read it more than once or later", async (gpu) => {
    const store = smallStore(gpu);
    const file = (): Promise<Engine> => memoryEngine(new MemoryStorage());
    const engines: Engine[] = [
      new DecoupledEngine(await file()),
      new MirrorEngine([await file(), await file()]),
      new DecoupledEngine(new MirrorEngine([await file(), await file()])),
    ];
    for (const engine of engines) {
      fillStore(store, 1);
      const saved = await contentsOf(store);
      const snapshot = new Snapshot(engine, { store }, { memoryBudgetBytes: 0 });
      const pending = await snapshot.save(1);
      fillStore(store, 2);
      expect((await pending.wait()).staging).toBe("streamed");
      expect(await savedContents(engine, 1, store)).toEqual(saved);
      await snapshot.close();
      await engine.cleanup();
    }
    await store.close();
  });
});

describe("a GPU that is full", () => {
  test("TS-12 whichever buffer of the copy it has no memory for, the save streams, and the next one copies again", async () => {
    const fake = new FakeDevice();
    const gpu = await GpuDevice.open({ device: fake.device });
    const store = smallStore(gpu);
    const slabs = store.stats().slabs;
    const engine = await memoryEngine();
    for (let failing = 0; failing < slabs; failing++) {
      fillStore(store, failing);
      const saved = await contentsOf(store);
      const snapshot = new Snapshot(engine, { store });
      const first = fake.allocations;
      fake.allocate = (index) => index === first + failing ? "out-of-memory" : undefined;
      const pending = await snapshot.save(failing);
      // What was allocated is given back: the GPU needs it for something else.
      expect(fake.live.filter((label) => label.includes("slab")).length).toBe(slabs);
      fillStore(store, 99);
      expect((await pending.wait()).staging).toBe("streamed");
      const next = await snapshot.save(`${failing}-next`);
      expect((await next.wait()).staging).toBe("shadow");
      await snapshot.close();
      expect(await savedContents(engine, String(failing), store)).toEqual(saved);
    }
    await store.close();
    await gpu.close();
  });

  test("TS-12 a caller that does not await save gets the error with its reason, and the next save works", async () => {
    const fake = new FakeDevice();
    const gpu = await GpuDevice.open({ device: fake.device });
    const store = smallStore(gpu);
    const storage = new MemoryStorage();
    const snapshot = new Snapshot(await memoryEngine(storage), { store });
    fake.allocate = () => "out-of-memory";
    const saving = snapshot.save(1);
    fake.allocate = undefined;
    fillStore(store, 2);
    const error = await errorOf((await saving).wait());
    expect(error.code).toBe("state_changed");
    expect(error.cause instanceof CairnError && error.cause.code).toBe("out_of_memory");
    expect(await fileNames(storage)).toEqual([]);
    expect((await (await snapshot.save(2)).wait()).staging).toBe("shadow");
    await snapshot.close();
    await store.close();
    expect(fake.live).toEqual([]);
  });

  test("TS-12 engines that are given the live state read all of it before save resolves", async () => {
    const fake = new FakeDevice();
    const gpu = await GpuDevice.open({ device: fake.device });
    const store = smallStore(gpu);
    for (const engine of [await memoryEngine(), new DecoupledEngine(await memoryEngine())]) {
      fillStore(store, 1);
      const saved = await contentsOf(store);
      await engine.create("a");
      fake.allocate = () => "out-of-memory";
      const saving = engine.save({ store });
      fake.allocate = undefined;
      await saving;
      fillStore(store, 2);
      await engine.commit("a");
      expect(await savedContents(engine, "a", store)).toEqual(saved);
      await engine.cleanup();
    }
    await store.close();
    await gpu.close();
    expect(fake.live).toEqual([]);
  });
});

describe("host memory", () => {
  test("TS-12 holds a staging buffer and a chunk of a save, however large that is and however slow the disk", async () => {
    const { store, fill } = await largeStore();
    fill(1);
    for (const memoryBudgetBytes of [0, Infinity]) {
      let most = 0;
      let waits = 5;
      const storage = new HookedStorage(new MemoryStorage(), {
        before: async ({ op }) => {
          if (op !== "write" || snapshot.pending === undefined) return;
          // Time in which a reader that does not wait for the disk would go on.
          if (waits-- > 0) await new Promise((resolve) => setTimeout(resolve, 2));
          const { staged, done, total } = snapshot.pending.progress;
          most = Math.max(most, staged - done);
          expect(total).toBe(36 * MIB);
        },
      });
      const engine = await memoryEngine(storage, { codec: "raw", verifyEvery: 0 });
      const snapshot: Snapshot = new Snapshot(engine, { store }, { memoryBudgetBytes });
      await (await snapshot.save(1)).wait();
      // A staging buffer is of 8 MiB, a chunk of one.
      expect(most).toBeGreaterThan(0);
      expect(most).toBeLessThanOrEqual(9 * MIB);
      await snapshot.close();
    }
    await store.gpu.close();
  });

  test("TS-12 one tensor that is larger than the budget and than a chunk is saved all the same", async () => {
    const { store, fill } = await largeStore();
    fill(3);
    const engine = await memoryEngine(new MemoryStorage(), { codec: "raw", verifyEvery: 0 });
    const snapshot = new Snapshot(engine, { store, large: new Uint8Array(3 * MIB) }, {
      memoryBudgetBytes: 1,
    });
    await (await snapshot.save("large")).wait();
    expect(await savedValues(engine, "large")).toEqual([3]);
    await snapshot.close();
    await store.gpu.close();
  });

  test("TS-12 an invalid budget is a RangeError", async () => {
    const { store } = await largeStore();
    for (const memoryBudgetBytes of [-1, NaN]) {
      expect(() => new StoreCopy(store, { memoryBudgetBytes })).toThrow(
        `memoryBudgetBytes is ${memoryBudgetBytes}, expected a number of bytes from 0`,
      );
    }
    await store.gpu.close();
  });
});
