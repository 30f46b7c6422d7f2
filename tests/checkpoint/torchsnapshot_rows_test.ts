import { afterAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { FileEngine } from "../../src/checkpoint/engine/file_engine.ts";
import type { HostState, StateInput } from "../../src/checkpoint/capture/state_types.ts";
import { openCheckpoint } from "../../src/checkpoint/file/open_path.ts";
import { Snapshot } from "../../src/checkpoint/snapshot.ts";
import type { SnapshotState } from "../../src/checkpoint/snapshot_state.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { smallRun, withTrainer } from "../train/fixtures.ts";
import {
  codeOf,
  contentsOf,
  errorOf,
  FaultStorage,
  fileNames,
  fillStore,
  loadState,
  memoryEngine,
  smallStore,
} from "./fixtures.ts";

const root = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-torchsnapshot-"));

afterAll(() => fs.rmSync(root, { recursive: true, force: true }));

class Counter {
  count: number;

  constructor(count: number) {
    this.count = count;
  }

  stateDict(): StateInput {
    return { count: this.count };
  }

  loadStateDict(state: HostState): void {
    this.count = (state as { count: number }).count;
  }
}

describe("stateful objects", () => {
  test("TS-01 objects with stateDict and loadStateDict are saved and take their state back, at any depth", async () => {
    const engine = await memoryEngine();
    const outer = new Counter(1);
    const inner = new Counter(2);
    await (await new Snapshot(engine, { outer, parts: { deep: { inner } } }).save(1)).wait();
    expect(await loadState(engine, 1)).toMatchObject({
      outer: { count: 1 },
      parts: { deep: { inner: { count: 2 } } },
    });
    const fresh = { outer: new Counter(0), parts: { deep: { inner: new Counter(0), kept: 5 } } };
    const { outer: outerBefore, parts: { deep: { inner: innerBefore } } } = fresh;
    await new Snapshot(engine, fresh).restore(1);
    expect([fresh.outer, fresh.parts.deep.inner]).toEqual([new Counter(1), new Counter(2)]);
    expect(fresh.outer).toBe(outerBefore);
    expect(fresh.parts.deep).toEqual({ inner: innerBefore, kept: 5 });
    expect(fresh.parts.deep.inner).toBe(innerBefore);
  });

  test("TS-01 a plain object is a state of its own, and loading updates it", async () => {
    const engine = await memoryEngine();
    await (await new Snapshot(engine, { options: { rate: 1, nested: { a: 1 } } }).save(1)).wait();
    const options = { rate: 0, other: 7, nested: { b: 2 } };
    await new Snapshot(engine, { options }).restore(1);
    // As Python's dict.update: what is nested is replaced.
    expect(options as unknown).toEqual({ rate: 1, other: 7, nested: { a: 1 } });
  });

  test("TS-01 anything else is a TypeError that names the key and the type, and nothing is saved", async () => {
    class Model {}
    const half = new (class Half {
      stateDict(): StateInput {
        return 1;
      }
    })();
    const cases: [unknown, string][] = [
      [new Model(), "state.bad is a Model instance"],
      [half, "state.bad is a Half instance"],
      [(): void => {}, "state.bad is a function"],
      [Symbol("x"), "state.bad is a symbol"],
      [{ list: [new Model()] }, "state.bad.list[0] is a Model instance"],
    ];
    for (const [bad, message] of cases) {
      const storage = new MemoryStorage();
      const snapshot = new Snapshot(await memoryEngine(storage), { good: 1, bad: bad as StateInput });
      const error: unknown = await snapshot.save(1).catch((cause: unknown) => cause);
      expect(error).toBeInstanceOf(TypeError);
      expect((error as Error).message.replace(/^state: /, "")).toContain(message);
      expect(await fileNames(storage)).toEqual([]);
    }
  });
});

describe("take", () => {
  test("TS-02 all data is written and synced before the one step that commits it", async () => {
    const storage = new FaultStorage(new MemoryStorage());
    const engine = await memoryEngine(storage, { verifyEvery: 0 });
    await (await new Snapshot(engine, { data: new Float32Array(5000) }).save(1)).wait();
    const ops = storage.operations.map(({ op, path: name }) =>
      `${op} ${name.endsWith(".cairn") ? name : ""}`.trim()
    );
    const commit = ops.indexOf("move 1.cairn");
    expect(commit).toBeGreaterThan(0);
    expect(ops.slice(0, commit).filter((op) => op === "write").length).toBeGreaterThan(0);
    expect(ops.slice(0, commit)).toContain("sync");
    expect(ops[commit + 1]).toBe("syncDirectory");
    // Nothing of the checkpoint is written to after its commit.
    const later = storage.operations.slice(commit + 1).filter(({ op, path: name }) =>
      op === "write" && name.endsWith(".cairn")
    );
    expect(later).toEqual([]);
  });

  test("TS-02 until it is committed there is no checkpoint, wherever the machine stops", async () => {
    for (let at = 0;; at++) {
      const inner = new MemoryStorage();
      const storage = new FaultStorage(inner);
      const snapshot = new Snapshot(await memoryEngine(storage), { epoch: 1 });
      storage.crashAt(at);
      const pending = await snapshot.save(1);
      await pending.settled();
      const names = (await fileNames(inner)).filter((name) => name.endsWith(".cairn"));
      expect(names.length === 0 || (names[0] === "1.cairn" && names.length === 1)).toBe(true);
      if (names.length > 0) expect(await loadState(await memoryEngine(inner), 1)).toMatchObject({ epoch: 1 });
      await snapshot.close().catch(() => {});
      if (storage.hasFired) continue;
      expect(pending.done).toBe(true);
      break;
    }
  });

  test("TS-02 a path that has a snapshot already is refused, and that stays as it was", async () => {
    const engine = await memoryEngine();
    await (await new Snapshot(engine, { epoch: 1 }).save(1)).wait();
    const snapshot = new Snapshot(engine, { epoch: 2 });
    expect(await codeOf((await snapshot.save(1)).wait())).toBe("already_exists");
    expect(await loadState(engine, 1)).toMatchObject({ epoch: 1 });
    await (await snapshot.save(1, { overwrite: true })).wait();
    expect(await loadState(engine, 1)).toMatchObject({ epoch: 2 });
  });

  test("TS-02 goes where it is told: a path, a file URL, or an engine", async () => {
    const directory = path.join(root, "take");
    for (const [step, target] of [directory, pathToFileURL(directory), await memoryEngine()].entries()) {
      const snapshot = new Snapshot(target, { step });
      await (await snapshot.save(step)).wait();
      await snapshot.close();
    }
    expect(fs.readdirSync(directory).sort()).toEqual(["0.cairn", "1.cairn", "latest"]);
  });
});

describe("restore", () => {
  gpuTest("TS-04 loads into the memory that is there, without a second copy of it", async (gpu) => {
    const engine = await memoryEngine();
    const store = smallStore(gpu);
    fillStore(store, 1);
    const history = new Float32Array([1, 2, 3]);
    const saving = new Snapshot(engine, { store, history });
    await (await saving.save(1)).wait();
    await saving.close();
    const saved = await contentsOf(store);
    fillStore(store, 2);
    history.fill(0);
    const slabs = store.groups().flatMap((group) => group.slabs.map(({ buffer }) => buffer));
    const { buffers } = gpu.counters;
    await new Snapshot(engine, { store, history }).restore(1);
    expect(gpu.counters.buffers).toBe(buffers);
    expect(store.groups().flatMap((group) => group.slabs.map(({ buffer }) => buffer))).toEqual(slabs);
    expect(history).toEqual(new Float32Array([1, 2, 3]));
    expect(await contentsOf(store)).toEqual(saved);
    await store.close();
  });

  gpuTest("TS-04 a part of the state restores that part, and reports the rest", async (gpu) => {
    const engine = await memoryEngine();
    const store = smallStore(gpu);
    fillStore(store, 1);
    const saving = new Snapshot(engine, { store, epoch: 3, scheduler: { last: 4 } });
    await (await saving.save(1)).wait();
    await saving.close();
    fillStore(store, 2);
    const before = await contentsOf(store);
    const part: SnapshotState = { epoch: 0 };
    const report = await new Snapshot(engine, part).restore(1);
    expect(part.epoch).toBe(3);
    expect(report.state).toEqual({
      restored: ["epoch", "extraState"],
      missing: [],
      unexpected: ["scheduler"],
    });
    expect(await contentsOf(store)).toEqual(before);
    const some = await new Snapshot(engine, { store }).restore(1, { only: ["model.0.*"] });
    expect(some.loaded).toEqual(["model.0.weight", "model.0.bias"]);
    expect((await contentsOf(store))["optimizer.m.0.bias"]).toBe(before["optimizer.m.0.bias"]);
    expect((await contentsOf(store))["model.0.bias"]).not.toBe(before["model.0.bias"]);
    await store.close();
  });

  gpuTest(
    "TS-04 what does not fit is an error of a strict load, and in the report of a lenient load or a dry run",
    async (gpu) => {
      const engine = await memoryEngine();
      const store = smallStore(gpu);
      fillStore(store, 1);
      const saving = new Snapshot(engine, { store, epoch: 3 });
      await (await saving.save(1)).wait();
      await saving.close();
      store.define("head", [{ name: "weight", dtype: "f32", shape: [2] }]);
      fillStore(store, 2);
      const before = await contentsOf(store);
      const state: SnapshotState = { store, epoch: 0, loader: {} };
      const snapshot = new Snapshot(engine, state);
      snapshot.step = 5;
      const checkpoint = await engine.load(1);
      await checkpoint.loadInto(store, { dryRun: true });
      // Or else the load after it would take damage for data.
      expect(checkpoint.isVerified).toBe(false);
      await checkpoint.close();
      const dry = await snapshot.restore(1, { dryRun: true });
      expect(dry.missing).toEqual(["head.weight"]);
      expect(dry.state.missing).toEqual(["loader"]);
      expect(await codeOf(snapshot.restore(1))).toBe("state_mismatch");
      delete state.loader;
      expect((await errorOf(snapshot.restore(1))).message).toContain('"head.weight" is missing');
      expect([await contentsOf(store), state.epoch, snapshot.step]).toEqual([before, 0, 5]);
      const report = await snapshot.restore(1, { strict: false });
      const { seconds, bytesPerSecond } = dry;
      expect({ ...report, state: dry.state, seconds, bytesPerSecond }).toEqual(dry);
      expect([state.epoch, snapshot.step]).toEqual([3, 0]);
      expect((await contentsOf(store))["head.weight"]).toBe(before["head.weight"]);
      await store.close();
    },
  );
});

describe("random state", () => {
  gpuTest(
    "TS-07 is the same after a save as without one, and the same again after a restore",
    async (gpu) => {
      const epochs = 2;
      const undisturbed = await withTrainer(gpu, smallRun(), async ({ trainer, tensors }) => {
        await trainer.train({ epochs, progress: false });
        return await tensors();
      });
      // Dropout and the order of the data are random, so that a number drawn for the save would show.
      const file = path.join(root, "random.cairn");
      await withTrainer(gpu, smallRun(), async ({ trainer, tensors }) => {
        const saves: Promise<unknown>[] = [];
        await trainer.train({
          epochs,
          progress: false,
          onStep: ({ step }) => {
            if (step === 4) saves.push(trainer.save(file));
          },
        });
        await Promise.all(saves);
        expect(await tensors()).toEqual(undisturbed);
      });
      const checkpoint = await openCheckpoint(file);
      const { entries } = checkpoint.getManifest();
      await checkpoint.close();
      expect(entries["state/seed"]).toEqual({ kind: "value", value: 11 });
      await withTrainer(gpu, smallRun(), async ({ trainer, tensors }) => {
        await trainer.load(file);
        const { value: step } = entries["state/step"] as { value: number };
        expect([trainer.step, step > 0 && step < 14]).toEqual([step, true]);
        await trainer.train({ epochs, progress: false });
        expect(await tensors()).toEqual(undisturbed);
      });
      // A run with other random numbers does not go on from it.
      await withTrainer(gpu, smallRun({ seed: 12 }), async ({ trainer }) => {
        expect(await codeOf(trainer.load(file))).toBe("state_mismatch");
      });
    },
  );
});

describe("what the original lacks", () => {
  gpuTest(
    "TS-18 a real save has checksums, compression, one commit, rotation, deletion and empty tensors",
    async (gpu) => {
      const directory = path.join(root, "lacks");
      const engine = await FileEngine.open(directory, { mode: "balanced" });
      const store = smallStore(gpu);
      // Numbers around zero, as weights are, so that there is something to compress.
      const weights = Float32Array.from({ length: 600 }, (_, index) => Math.sin(index) / 50);
      store.write({ "model.0.weight": HostTensor.from(weights, [20, 30]) });
      const state = { store, empty: new Float32Array(0), history: new Float64Array(4096) };
      const snapshot = new Snapshot(engine, state, { keep: { last: 2 } });
      const reports = [];
      for (const step of [1, 2, 3]) reports.push(await (await snapshot.save(step)).wait());
      // Rotation, and a report of what was deleted and why.
      expect(await engine.list()).toEqual(["2", "3"]);
      expect(reports[2]?.retention?.deleted).toEqual(["1"]);
      // Compression.
      const file = path.join(directory, "3.cairn");
      const { written } = reports[2] ?? {};
      expect(written?.fileBytes).toBe(fs.statSync(file).size);
      expect(written?.ratio).toBeGreaterThan(1.5);
      // One commit: a save that stops on its way leaves what was there, byte for byte.
      const before = fs.readFileSync(file);
      const controller = new AbortController();
      const stopped = await snapshot.save(3, {
        overwrite: true,
        signal: controller.signal,
        onProgress: () => controller.abort(),
      });
      await stopped.settled();
      expect(stopped.status).toBe("aborted");
      expect(fs.readFileSync(file)).toEqual(before);
      expect(fs.readdirSync(directory).sort()).toEqual(["2.cairn", "3.cairn", "latest"]);
      // Tensors without elements, of the store and of the host.
      const checkpoint = await openCheckpoint(file);
      expect(await checkpoint.readObject("tensors/model.nothing")).toMatchObject({
        dtype: "f32",
        shape: [0, 4],
      });
      expect(await checkpoint.state()).toMatchObject({ empty: new Float32Array(0) });
      const chunk = checkpoint.reader.chunks[0];
      await checkpoint.close();
      // Checksums that say which tensor is damaged, and a restore that then changes nothing.
      const damaged = Uint8Array.from(before);
      const at = (chunk?.storedOffset ?? 0) + 40;
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      fs.writeFileSync(file, damaged);
      const contents = await contentsOf(store);
      const error = await errorOf(snapshot.restore(3));
      expect([error.code, error.message.includes("model.0.weight")]).toEqual(["checksum_mismatch", true]);
      expect(await contentsOf(store)).toEqual(contents);
      // Deletion.
      await engine.remove("3");
      expect(fs.readdirSync(directory).sort()).toEqual(["2.cairn", "latest"]);
      await snapshot.close();
      await store.close();
    },
  );
});
