import { afterAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import type { HostState, StateInput } from "../../src/checkpoint/capture/state_types.ts";
import type { PendingSnapshot } from "../../src/checkpoint/pending_snapshot.ts";
import { Snapshot } from "../../src/checkpoint/snapshot.ts";
import type { SnapshotState } from "../../src/checkpoint/snapshot_state.ts";
import { readLatestHint } from "../../src/checkpoint/engine/latest_hint.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { gpuTest, gpuTestOptions } from "../helpers/gpu.ts";
import {
  codeOf,
  contentsOf,
  errorOf,
  FaultStorage,
  fileNames,
  fillStore,
  loadState,
  memoryEngine,
  OTHER_RUN_ID,
  RUN_ID,
  smallStore,
} from "./fixtures.ts";

const directories: string[] = [];

function temporaryDirectory(): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-snapshot-"));
  directories.push(directory);
  return directory;
}

afterAll(() => {
  for (const directory of directories) fs.rmSync(directory, { recursive: true, force: true });
});

/** Something with a state of its own. */
class Counter {
  count = 0;

  stateDict(): StateInput {
    return { count: this.count };
  }

  loadStateDict(state: HostState): void {
    this.count = (state as { count: number }).count;
  }
}

describe("Snapshot", () => {
  test("TW-01 keeps the caller's object by reference and puts its extra state there, in the place of any other", async () => {
    const engine = await memoryEngine();
    const state: SnapshotState = { epoch: 1, extraState: "something else" };
    const snapshot = new Snapshot(engine, state);
    expect(snapshot.state).toBe(state);
    expect(state.extraState).toEqual({ step: 0, walltime: 0 });
    state.epoch = 2;
    state.added = new Counter();
    await (await snapshot.save(1)).wait();
    expect(await loadState(engine, 1)).toEqual({
      epoch: 2,
      added: { count: 0 },
      extraState: { step: 0, walltime: 0 },
    });
  });

  test("TW-01 a value that is neither data nor has a state is a TypeError that names its key", async () => {
    class Model {}
    const snapshot = new Snapshot(await memoryEngine(), { model: new Model() as unknown as StateInput });
    const error: unknown = await snapshot.save(1).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toContain("state.model is a Model instance");
  });

  test("TW-02 step and walltime are read and written through the state, saved and restored", async () => {
    const engine = await memoryEngine();
    const state: SnapshotState = {};
    const snapshot = new Snapshot(engine, state);
    snapshot.step = 7;
    snapshot.walltime = 1.5;
    expect(state.extraState).toEqual({ step: 7, walltime: 1.5 });
    state.extraState = { step: 8, walltime: 2.5 };
    expect([snapshot.step, snapshot.walltime]).toEqual([8, 2.5]);
    await (await snapshot.save(8)).wait();
    const other = new Snapshot(engine, {});
    await other.restore(8);
    expect([other.step, other.walltime]).toEqual([8, 2.5]);
  });

  test("TW-03 save returns a pending handle at once, names the file by the step, and does not set the step", async () => {
    const directory = temporaryDirectory();
    const snapshot = new Snapshot(path.join(directory, "run"), { epoch: 3 });
    const pending = await snapshot.save(1200);
    expect(pending.done).toBe(false);
    expect(snapshot.pending).toBe(pending);
    const report = await pending.wait();
    expect(report.seconds).toBeGreaterThan(0);
    expect(report.bytesPerSecond * report.seconds).toBeCloseTo(report.written.rawBytes, 6);
    expect(pending.done).toBe(true);
    expect(report.path).toBe(path.join(directory, "run", "1200.cairn"));
    expect(fs.readdirSync(path.join(directory, "run")).sort()).toEqual(["1200.cairn", "latest"]);
    expect(snapshot.step).toBe(0);
    await snapshot.close();
  });

  test("TW-03 what changes after save returned does not get in", async () => {
    const engine = await memoryEngine();
    const state = { epoch: 1, history: new Float32Array([1]) };
    const snapshot = new Snapshot(engine, state);
    const pending = await snapshot.save(1);
    state.epoch = 2;
    state.history[0] = 2;
    snapshot.step = 9;
    await pending.wait();
    expect(await loadState(engine, 1))
      .toEqual({ epoch: 1, history: new Float32Array([1]), extraState: { step: 0, walltime: 0 } });
  });

  test("TW-03 a failed save is not done, keeps its error, and surfaces at the next call when nobody waited", async () => {
    const storage = new FaultStorage(new MemoryStorage());
    const snapshot = new Snapshot(await memoryEngine(storage), {});
    storage.failAt(0, "ENOSPC");
    const pending = await snapshot.save(1);
    await pending.settled();
    expect([pending.done, pending.isSettled, pending.status]).toEqual([false, true, "failed"]);
    expect(pending.error).toMatchObject({ code: "disk_full" });
    expect(await codeOf(snapshot.save(2))).toBe("disk_full");
    await (await snapshot.save(2)).wait();
    expect(await fileNames(storage)).toEqual(["2.cairn", "latest"]);
  });

  test("a failure that was awaited is not reported again", async () => {
    const storage = new FaultStorage(new MemoryStorage());
    const snapshot = new Snapshot(await memoryEngine(storage), {});
    storage.failAt(0, "EIO");
    expect(await codeOf((await snapshot.save(1)).wait())).toBe("storage_failed");
    await (await snapshot.save(2)).wait();
    await snapshot.close();
  });

  test("close reports a failure that nobody awaited, and can be called twice", async () => {
    const storage = new FaultStorage(new MemoryStorage());
    const snapshot = new Snapshot(await memoryEngine(storage), {});
    storage.failAt(0, "EIO");
    await snapshot.save(1);
    expect(await codeOf(snapshot.close())).toBe("storage_failed");
    await snapshot.close();
    expect(await codeOf(snapshot.save(2))).toBe("closed");
  });

  test("TW-18 a save waits for the one under way and says so: there is never more than one", async () => {
    const storage = new FaultStorage(new MemoryStorage());
    const engine = await memoryEngine(storage);
    const waits: string[] = [];
    const state = { epoch: 1 };
    const snapshot = new Snapshot(engine, state, { onWait: ({ tag }) => waits.push(tag) });
    const first = await snapshot.save(1);
    state.epoch = 2;
    const later = [snapshot.save(2), snapshot.save(3)];
    expect(first.isSettled).toBe(false);
    for (const save of later) await (await save).wait();
    expect(waits[0]).toBe("1");
    // The state of a waiting save is taken when its turn comes.
    expect(await loadState(engine, 2)).toMatchObject({ epoch: 2 });
    const creates = storage.operations.filter(({ op }) => op === "createExclusive" || op === "move").map((
      { op },
    ) => op);
    // Each checkpoint and each hint is moved before the next file is begun.
    expect(creates).toEqual(Array.from({ length: 6 }, () => ["createExclusive", "move"]).flat());
  });

  test("TW-04 restores a checkpoint from before there was a wall time, or from before there was an extra state", async () => {
    const engine = await memoryEngine();
    for (
      const [tag, state] of [["old", { epoch: 4, extraState: { step: 5 } }], ["older", { epoch: 4 }]] as const
    ) {
      await engine.create(tag);
      await engine.save({ state });
      await engine.commit(tag);
    }
    const snapshot = new Snapshot(engine, { epoch: 0 });
    await snapshot.restore("old");
    expect([snapshot.state.epoch, snapshot.step, snapshot.walltime]).toEqual([4, 5, 0]);
    await snapshot.restore("older");
    expect([snapshot.step, snapshot.walltime]).toEqual([0, 0]);
  });

  test("TW-04 a damaged checkpoint is an error of its own, told once, and nothing is restored", async () => {
    const storage = new MemoryStorage();
    const engine = await memoryEngine(storage);
    const counter = new Counter();
    const snapshot = new Snapshot(engine, { counter, data: new Float32Array(64) });
    counter.count = 1;
    await (await snapshot.save(1)).wait();
    counter.count = 2;
    const reader = await storage.openRead("1.cairn");
    const content = new Uint8Array(reader.byteLength);
    await reader.read(0, content);
    await storage.remove("1.cairn");
    content[4096] = (content[4096] ?? 0) ^ 1;
    const writer = await storage.createExclusive("1.cairn");
    await writer.write(content);
    const watched = new FaultStorage(storage);
    const other = new Snapshot(await memoryEngine(watched), { counter, data: new Float32Array(64) });
    expect(await codeOf(other.restore("1"))).toBe("checksum_mismatch");
    expect(counter.count).toBe(2);
    expect(watched.operations.filter(({ op }) => op === "openRead").length).toBe(1);
    expect(watched.openHandles).toBe(0);
  });

  test("restores in place: a stateful object, a plain object, a typed array, and values", async () => {
    const engine = await memoryEngine();
    const counter = new Counter();
    counter.count = 3;
    const saved = {
      counter,
      options: { rate: 0.1 },
      history: new Float32Array([1, 2]),
      epoch: 5,
      grown: new Float32Array(3),
    };
    await (await new Snapshot(engine, saved).save(1)).wait();
    const fresh = new Counter();
    const options = { rate: 0, other: "kept" };
    const history = new Float32Array(2);
    const state: SnapshotState = { counter: fresh, options, history, epoch: 0, grown: new Float32Array(1) };
    await new Snapshot(engine, state).restore(1);
    expect(fresh.count).toBe(3);
    expect(state.counter).toBe(fresh);
    expect(options).toEqual({ rate: 0.1, other: "kept" });
    expect(state.options).toBe(options);
    expect([...history]).toEqual([1, 2]);
    expect(state.history).toBe(history);
    expect(state.epoch).toBe(5);
    expect(state.grown).toEqual(new Float32Array(3));
  });

  test("a name that the checkpoint does not have is an error, and then nothing was restored", async () => {
    const engine = await memoryEngine();
    await (await new Snapshot(engine, { epoch: 5 }).save(1)).wait();
    const state: SnapshotState = { epoch: 0, scheduler: {} };
    const error = await errorOf(new Snapshot(engine, state).restore(1));
    expect(error.code).toBe("state_mismatch");
    expect(error.message).toBe(
      'Cannot load checkpoint "1" (memory:1.cairn): it has no state named "scheduler"; it has "epoch", "extraState". Nothing was changed',
    );
    expect(state.epoch).toBe(0);
    await new Snapshot(engine, state).restore(1, { strict: false });
    expect(state.epoch).toBe(5);
  });

  test("restores from a path, with or without the extension, and never from an empty one", async () => {
    const directory = temporaryDirectory();
    await (await new Snapshot(directory, { epoch: 5 }).save(1)).wait();
    for (const name of [path.join(directory, "1.cairn"), path.join(directory, "1"), "1", 1]) {
      const snapshot = new Snapshot(directory, { epoch: 0 });
      await snapshot.restore(name);
      expect(snapshot.state.epoch).toBe(5);
    }
    const elsewhere = new Snapshot(path.join(directory, "other"), { epoch: 0 });
    await elsewhere.restore(path.join(directory, "1"));
    expect(elsewhere.state.epoch).toBe(5);
    const empty: unknown = await elsewhere.restore("").catch((error: unknown) => error);
    expect(empty).toBeInstanceOf(TypeError);
    expect(await codeOf(elsewhere.restore(path.join(directory, "2")))).toBe("not_found");
  });

  test("goes on as the run of its own directory that it restored, and not as one from elsewhere", async () => {
    const storage = new MemoryStorage();
    await (await new Snapshot(await memoryEngine(storage), {}).save(1)).wait();
    const engine = await memoryEngine(storage, { runId: OTHER_RUN_ID });
    const snapshot = new Snapshot(engine, {});
    await snapshot.restore(1);
    expect([engine.runId, engine.resumedFrom]).toEqual([RUN_ID, "1"]);
    const directory = temporaryDirectory();
    await (await new Snapshot(directory, {}, { runId: RUN_ID }).save(1)).wait();
    const elsewhere = await memoryEngine(undefined, { runId: OTHER_RUN_ID });
    await new Snapshot(elsewhere, {}).restore(path.join(directory, "1"));
    expect([elsewhere.runId, elsewhere.resumedFrom]).toEqual([OTHER_RUN_ID, undefined]);
  });

  test("deletes old checkpoints only when the new one is durable", async () => {
    const storage = new FaultStorage(new MemoryStorage());
    const engine = await memoryEngine(storage);
    const snapshot = new Snapshot(engine, {}, { keep: { last: 2 } });
    for (const step of [1, 2, 3, 4]) await (await snapshot.save(step)).wait();
    expect(await engine.list()).toEqual(["3", "4"]);
    const removed = storage.operations.findLastIndex(({ op }) => op === "remove");
    const moved = storage.operations.findIndex(({ op, path }) => op === "move" && path === "4.cairn");
    expect(storage.operations[moved + 1]?.op).toBe("syncDirectory");
    expect(removed).toBeGreaterThan(moved + 1);
    for (let offset = 0;; offset++) {
      storage.failAt(storage.operations.length + offset, "ENOSPC", { onward: true });
      const pending = await snapshot.save(5 + offset);
      await pending.settled();
      storage.heal();
      if (pending.done) break;
      await pending.wait().catch(() => {});
      expect(await engine.list()).toEqual(expect.arrayContaining(["3", "4"]));
    }
  });

  test("an abort stops a save, removes what it wrote, and is not reported by the next call", async () => {
    const storage = new MemoryStorage();
    const snapshot = new Snapshot(await memoryEngine(storage), { data: new Float32Array(1000) });
    const controller = new AbortController();
    const reason = new Error("enough");
    const pending = await snapshot.save(1, { signal: controller.signal });
    controller.abort(reason);
    const error: unknown = await pending.wait().catch((cause: unknown) => cause);
    expect(error).toBe(reason);
    expect(pending.status).toBe("aborted");
    expect(await fileNames(storage)).toEqual([]);
    const early: unknown = await snapshot.save(2, { signal: controller.signal }).catch((cause: unknown) =>
      cause
    );
    expect(early).toBe(reason);
    await (await snapshot.save(2)).wait();
  });

  test("lets the event loop run while it compresses", async () => {
    // The slowest codec: the work has to take many times longer than it may hold the loop.
    const engine = await memoryEngine(new MemoryStorage(), { codec: "deflate" });
    const snapshot = new Snapshot(engine, {
      data: new Float32Array(4_000_000).map((_, index) => Math.sin(index)),
    });
    const pending = await snapshot.save(1);
    let turns = 0;
    while (!pending.isSettled) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      turns++;
    }
    await pending.wait();
    // Nothing else in it would let another turn in: the storage is in memory.
    expect(turns).toBeGreaterThan(3);
  });
});

describe("Snapshot of a store", () => {
  gpuTest("gives back every bit of every tensor, in a new store", async (gpu) => {
    const engine = await memoryEngine();
    const store = smallStore(gpu);
    fillStore(store, 1);
    const saved = await contentsOf(store);
    const snapshot = new Snapshot(engine, { store, epoch: 2 });
    await (await snapshot.save(1)).wait();
    const checkpoint = await engine.load(1);
    expect(checkpoint.reader.tensors.length).toBe(store.tensors().length);
    // The slabs in order, then the host state.
    expect(checkpoint.reader.rawByteLength).toBe(store.stats().bytes);
    expect(checkpoint.provenance.adapter).toBe(gpu.adapterName);
    await checkpoint.close();

    const other = smallStore(gpu, 65536);
    const restored = new Snapshot(engine, { store: other, epoch: 0 });
    const report = await restored.restore(1);
    expect(report?.loaded.length).toBe(12);
    expect(await contentsOf(other)).toEqual(saved);
    expect(restored.state.epoch).toBe(2);
    for (const closing of [snapshot, restored]) await closing.close();
    for (const closing of [store, other]) await closing.close();
  });

  gpuTest(
    "is the state at save, whatever the GPU does in every turn of the event loop until it is durable",
    async (gpu) => {
      const engine = await memoryEngine();
      const store = smallStore(gpu);
      fillStore(store, 1);
      const saved = await contentsOf(store);
      const state = { store, epoch: 1 };
      const snapshot = new Snapshot(engine, state);
      const pending = await snapshot.save(1);
      for (let seed = 2; !pending.isSettled; seed++) {
        fillStore(store, seed);
        state.epoch = seed;
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
      await pending.wait();
      expect(await contentsOf(store)).not.toEqual(saved);
      await snapshot.restore(1);
      expect(await contentsOf(store)).toEqual(saved);
      expect(snapshot.state.epoch).toBe(1);
      await snapshot.close();
      await store.close();
    },
  );

  gpuTest("allocates its shadow memory once, and frees it", async (gpu) => {
    const store = smallStore(gpu);
    const before = gpu.counters.buffers;
    const snapshot = new Snapshot(await memoryEngine(), { store });
    await (await snapshot.save(1)).wait();
    const { buffersCreated, submits } = gpu.counters;
    const pending = await snapshot.save(2);
    // One submit: the copy. The read-back comes later.
    expect(gpu.counters.submits - submits).toBe(1);
    await pending.wait();
    expect(gpu.counters.buffersCreated).toBe(buffersCreated);
    await snapshot.close();
    expect(gpu.counters.buffers).toBe(before);
    await store.close();
  });

  gpuTest("two stores are refused: a snapshot covers one", async (gpu) => {
    const stores = [smallStore(gpu), smallStore(gpu)];
    const snapshot = new Snapshot(await memoryEngine(), { a: stores[0], b: stores[1] });
    const error: unknown = await snapshot.save(1).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toBe('A snapshot covers one TensorStore; "b" is a second one');
    for (const store of stores) await store.close();
  });

  gpuTest(
    "a device that is lost at any point of a save commits nothing new, and the old checkpoint stays",
    async () => {
      const storage = new MemoryStorage();
      const engine = await memoryEngine(storage, { chunkBytes: 256 });
      let losses = 0;
      for (let step = 1;; step++) {
        const gpu = await GpuDevice.open(gpuTestOptions());
        const store = smallStore(gpu);
        fillStore(store, 1);
        const snapshot = new Snapshot(engine, { store });
        const pending = await snapshot.save(step);
        await letPass(step - 1, pending);
        gpu.device.destroy();
        const outcome = await pending.wait().then(
          () => "committed",
          (error: unknown) => (error as { code?: string }).code ?? error,
        );
        await snapshot.close();
        await gpu.close();
        if (outcome === "committed") {
          const checkpoint = await engine.load(step);
          await checkpoint.verify();
          await checkpoint.close();
          break;
        }
        expect(outcome).toBe("device_lost");
        losses++;
        expect(await engine.list()).toEqual([]);
      }
      expect(losses).toBeGreaterThan(5);
      expect(await fileNames(storage)).toEqual([`${losses + 1}.cairn`, "latest"]);
    },
    600_000,
  );

  gpuTest("detects a read-back that differs from what was copied", async (gpu) => {
    const storage = new MemoryStorage();
    const store = smallStore(gpu);
    fillStore(store, 1);
    const snapshot = new Snapshot(await memoryEngine(storage), { store });
    const { mapAsync, getMappedRange } = GPUBufferPrototype(gpu.device);
    // A driver that gives zeros without an error.
    const zeros = function (this: GPUBuffer, offset?: number, size?: number): ArrayBuffer {
      return new ArrayBuffer(getMappedRange.call(this, offset, size).byteLength);
    };
    const prototype = GPUBufferPrototype(gpu.device);
    const pending = await snapshot.save(1);
    Object.defineProperty(prototype, "getMappedRange", { value: zeros, configurable: true, writable: true });
    const error = await errorOf(pending.wait()).finally(() => {
      Object.defineProperty(prototype, "getMappedRange", {
        value: getMappedRange,
        configurable: true,
        writable: true,
      });
    });
    expect(typeof mapAsync).toBe("function");
    expect(error.code).toBe("gpu_validation");
    expect(error.message).toContain("the canary differs");
    expect(await fileNames(storage)).toEqual([]);
    await (await snapshot.save(2)).wait();
    await snapshot.close();
    await store.close();
  });
});

describe("Snapshot.of", () => {
  test("writes named fields to a file and gives them back", async () => {
    const file = path.join(temporaryDirectory(), "model");
    const fields = {
      modelStateDict: { "0.weight": HostTensor.from([[1, 2], [3, 4]]) },
      optimizerStateDict: { m: new Float32Array([1, 2]) },
      epoch: 3,
      loss: NaN,
    };
    const report = await Snapshot.of(fields).save(file);
    expect(report.path).toBe(`${file}.cairn`);
    expect(fs.readdirSync(path.dirname(file))).toEqual(["model.cairn"]);
    const loaded = await Snapshot.load(file);
    expect(loaded.epoch).toBe(3);
    expect(loaded.loss).toBeNaN();
    expect(loaded.optimizerStateDict).toEqual(fields.optimizerStateDict);
    const { "0.weight": weight } = loaded.modelStateDict as { "0.weight": HostTensor };
    expect(weight.equals(fields.modelStateDict["0.weight"])).toBe(true);
    expect(await codeOf(Snapshot.of(fields).save(file))).toBe("already_exists");
    await Snapshot.of({ epoch: 4 }).save(file, { overwrite: true });
    expect(await Snapshot.load(file)).toEqual({ epoch: 4 });
    expect(await codeOf(Snapshot.load(`${file}-2`))).toBe("not_found");
  });

  gpuTest("refuses a store, whose tensors are on the GPU", async (gpu) => {
    const store = TensorStore.on(gpu);
    expect(() => Snapshot.of({ model: store as unknown as StateInput })).toThrow(
      'Field "model" is a TensorStore; read its tensors first (await store.read(names))',
    );
    await store.close();
  });

  test("does not touch the hint of the directory it writes to", async () => {
    const directory = temporaryDirectory();
    await (await new Snapshot(directory, {}).save(1)).wait();
    await Snapshot.of({ epoch: 1 }).save(path.join(directory, "export"));
    const { FileStorage } = await import("../../src/storage/file_storage.ts");
    expect(await readLatestHint(await FileStorage.open(directory), "")).toBe("1");
  });
});

/** First a few steps of promises, then turns of the event loop. */
async function letPass(points: number, pending: PendingSnapshot): Promise<void> {
  for (let point = 0; point < points && !pending.isSettled; point++) {
    if (point < 5) { for (let promise = 0; promise < 4; promise++) await Promise.resolve(); }
    else await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

function GPUBufferPrototype(device: GPUDevice): GPUBuffer {
  const buffer = device.createBuffer({ size: 4, usage: 8 });
  const prototype: unknown = Object.getPrototypeOf(buffer);
  buffer.destroy();
  return prototype as GPUBuffer;
}
