import { afterAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import type { HostState, StateInput } from "../../src/checkpoint/capture/state_types.ts";
import { loadCheckpoint } from "../../src/checkpoint/compat/load_checkpoint.ts";
import { saveCheckpoint } from "../../src/checkpoint/compat/save_checkpoint.ts";
import { openCheckpoint } from "../../src/checkpoint/file/open_path.ts";
import { warmStart } from "../../src/checkpoint/warm_start.ts";
import type { Storage } from "../../src/storage/storage.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import {
  codeOf,
  contentsOf,
  errorOf,
  FaultStorage,
  fileNames,
  fillStore,
  loadState,
  memoryEngine,
  saveState,
  smallStore,
} from "./fixtures.ts";

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-save-"));

afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));

describe("saveCheckpoint", () => {
  test("DS-10 saves under the tag, and then the hint names it", async () => {
    const run = path.join(directory, "tag");
    const report = await saveCheckpoint(run, { state: { epoch: 1 } }, { tag: "first" });
    expect(report).toMatchObject({ tag: "first", path: path.join(run, "first.cairn"), warnings: [] });
    expect(report.seconds).toBeGreaterThan(0);
    expect(report.bytesPerSecond * report.seconds).toBeCloseTo(report.written.rawBytes, 6);
    expect(fs.readdirSync(run).sort()).toEqual(["first.cairn", "latest"]);
    expect(fs.readFileSync(path.join(run, "latest"), "utf8")).toBe("first\n");
  });

  test("DS-10 the tag is global_step<N> unless it is given, and a number becomes text", async () => {
    const engine = await memoryEngine();
    expect((await saveCheckpoint(engine, { provenance: { step: 40 } })).tag).toBe("global_step40");
    expect((await saveCheckpoint(engine, {}, { tag: 41 })).tag).toBe("41");
    const error: unknown = await saveCheckpoint(engine, {}).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toContain("needs a tag");
  });

  test("tensors in memory are saved by name without a GPU, as they were at the call, and read one by one", async () => {
    const run = path.join(directory, "memory");
    const weight = HostTensor.from([[1, 2], [3, 4]]);
    const tensors = { "model.weight": weight, "model.bias": [5, 6] };
    const saved = saveCheckpoint(run, { tensors, state: { epoch: 2 } }, { tag: 1 });
    weight.bytes.fill(0);
    const report = await saved;
    expect(report.written.rawBytes).toBe(512);
    const checkpoint = await openCheckpoint(report.path);
    const read = await checkpoint.readObject("tensors/model.weight") as HostTensor;
    expect([read.shape, [...read.toArray()]]).toEqual([[2, 2], [1, 2, 3, 4]]);
    expect(await checkpoint.stateFor("epoch")).toBe(2);
    await checkpoint.close();
  });

  gpuTest("tensors in memory are loaded into a store that has their names", async (gpu) => {
    const run = path.join(directory, "into-a-store");
    const store = smallStore(gpu);
    const tensors = Object.fromEntries(await store.read(store.tensors().map(({ name }) => name)));
    for (const { bytes } of Object.values(tensors)) bytes.fill(1);
    await saveCheckpoint(run, { tensors }, { tag: 1 });
    fillStore(store, 9);
    await loadCheckpoint(run, { store });
    const contents = Object.values(await contentsOf(store));
    expect(contents.every((text) => /^1(,1)*$|^$/.test(text))).toBe(true);
    const twice = await thrownBy(() => saveCheckpoint(run, { store, tensors }, { tag: 2 }));
    expect(twice.message).toContain("There are two tensors named");
    await store.close();
  });

  test("what is no tensor, and a name of the state's own, is refused by name", async () => {
    const engine = await memoryEngine();
    const rows: [Record<string, unknown>, string][] = [
      [{ a: [[1], [2, 3]] }, 'tensor "a"[1] is an array of 2 values'],
      [{ a: "text" }, 'Element 0 of tensor "a" is a string'],
      [{ "state:a": [1] }, 'A tensor cannot be named "state:a"'],
    ];
    for (const [tensors, message] of rows) {
      const error = await thrownBy(() => saveCheckpoint(engine, { tensors } as never, { tag: 1 }));
      expect([error.name, error.message.includes(message)]).toEqual(["TypeError", true]);
    }
  });

  test("DS-10 an empty directory is a mistake, and a bad tag is refused before anything is touched", async () => {
    const error: unknown = await saveCheckpoint("", {}, { tag: "a" }).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toBe("The directory to save to must not be empty");
    const storage = new FaultStorage(new MemoryStorage());
    expect(await codeOf(saveCheckpoint(await memoryEngine(storage), {}, { tag: "../a" }))).toBe(
      "invalid_tag",
    );
    expect(storage.operations).toEqual([]);
  });

  test("DS-10 a directory that cannot be made is reported with its path and the reason", async () => {
    const file = path.join(directory, "file");
    fs.writeFileSync(file, "x");
    const error = await errorOf(saveCheckpoint(path.join(file, "run"), {}, { tag: "a" }));
    expect(error.code).toBe("storage_failed");
    expect(error.message).toBe(
      `Cannot open "${
        path.join(file, "run")
      }": a part of the path is not a directory (ENOTDIR); check the path`,
    );
    expect(fs.readFileSync(file, "utf8")).toBe("x");
  });

  test("DS-10 the hint stays as it is on request", async () => {
    const engine = await memoryEngine();
    await saveCheckpoint(engine, {}, { tag: "a" });
    await saveCheckpoint(engine, {}, { tag: "b", saveLatest: false });
    expect(await readText(engine.storage, "latest")).toBe("a\n");
  });

  test("DS-10 the hint does not move when the commit fails, and is never half written", async () => {
    for (let at = 0;; at++) {
      const inner = new MemoryStorage();
      await saveCheckpoint(await memoryEngine(inner), {}, { tag: "a" });
      const storage = new FaultStorage(inner);
      storage.crashAt(at, { takesEffect: true });
      await saveCheckpoint(await memoryEngine(storage), {}, { tag: "b" }).catch(() => {});
      const hint = await readText(inner, "latest");
      expect(["a\n", "b\n"]).toContain(hint);
      if (hint === "b\n") expect(await fileNames(inner)).toContain("b.cairn");
      if (!storage.hasFired) {
        expect(hint).toBe("b\n");
        break;
      }
    }
  });

  test("DS-10 the client's state goes along and cannot replace any of the run's", async () => {
    const engine = await memoryEngine();
    const clientState = { epoch: "mine", best: 0.5, curve: new Float64Array([1, 2]) };
    await saveCheckpoint(engine, { state: { epoch: 7, curve: new Float64Array([3]) } }, {
      tag: "a",
      clientState,
    });
    const target = { epoch: 0, curve: new Float64Array(1) };
    const loaded = await loadCheckpoint(engine, { state: target });
    expect(target).toEqual({ epoch: 7, curve: new Float64Array([3]) });
    expect(loaded.clientState).toEqual(clientState);
  });

  gpuTest(
    "DS-10 frozen parameters are left out on request, and a load does not miss them",
    async (gpu) => {
      const engine = await memoryEngine();
      const store = smallStore(gpu);
      fillStore(store, 1);
      const options = {
        tag: "a",
        excludeFrozenParameters: true,
        frozenParameters: ["model.0.bias", "model.0.weight"],
      };
      const report = await saveCheckpoint(engine, { store }, options);
      const checkpoint = await engine.load("a");
      const names = checkpoint.reader.tensors.map(({ name }) => name);
      expect(names).not.toContain("model.0.bias");
      // Tied to a frozen one: the same parameter.
      expect(names).not.toContain("model.tied");
      expect(names).toContain("optimizer.m.0.bias");
      await checkpoint.close();
      const saved = await contentsOf(store);
      fillStore(store, 2);
      const frozen = (await contentsOf(store))["model.0.bias"];
      const { report: loaded } = await loadCheckpoint(engine, { store });
      expect(loaded?.missing).toEqual([]);
      const after = await contentsOf(store);
      expect(after["model.0.bias"]).toBe(frozen);
      expect(after["model.1.weight"]).toBe(saved["model.1.weight"]);
      await saveCheckpoint(engine, { store }, { ...options, tag: "b", excludeFrozenParameters: false });
      const whole = await engine.load("b");
      expect(whole.reader.tensors.length).toBe(12);
      await whole.close();
      expect(report.written.rawBytes).toBeLessThan(store.stats().bytes);
      await store.close();
    },
  );

  gpuTest("DS-10 saves the state of the call and frees its shadow memory", async (gpu) => {
    const engine = await memoryEngine();
    const store = smallStore(gpu);
    fillStore(store, 1);
    const saved = await contentsOf(store);
    const before = gpu.counters.buffers;
    const saving = saveCheckpoint(engine, { store }, { tag: "a" });
    fillStore(store, 2);
    await saving;
    expect(gpu.counters.buffers).toBe(before);
    await loadCheckpoint(engine, { store });
    expect(await contentsOf(store)).toEqual(saved);
    expect(await codeOf(saveCheckpoint(engine, { store }, { tag: "a" }))).toBe("already_exists");
    expect(gpu.counters.buffers).toBe(before);
    await store.close();
  });
});

describe("loadCheckpoint", () => {
  test("DS-14 nothing there is null, and nothing is changed", async () => {
    const engine = await memoryEngine();
    const state = { epoch: 5 };
    const nothing = {
      path: null,
      tag: null,
      clientState: null,
      report: undefined,
      placement: undefined,
      skipped: [],
    };
    expect(await loadCheckpoint(engine, { state })).toEqual(nothing);
    expect(await loadCheckpoint(path.join(directory, "nowhere"), { state })).toEqual(nothing);
    await saveState(engine, "a", { epoch: 1 });
    expect(await loadCheckpoint(engine, { state }, { tag: "b" })).toEqual(nothing);
    expect(state).toEqual({ epoch: 5 });
  });

  test("DS-14 without a tag it takes the newest that verifies, whatever the hint says", async () => {
    const engine = await memoryEngine();
    for (const step of [1, 2, 3]) await saveCheckpoint(engine, { state: { step }, provenance: { step } });
    const newest = "global_step3.cairn";
    const content = bytesOf(await readText(engine.storage, newest, "latin1"));
    content[200] = 1;
    await engine.storage.remove(newest);
    const writer = await engine.storage.createExclusive(newest);
    await writer.write(content);
    for (const hint of ["global_step1", "global_step3", "../../etc/passwd", "gone", ""]) {
      await engine.storage.remove("latest");
      const file = await engine.storage.createExclusive("latest");
      if (hint !== "") await file.write(bytesOf(hint));
      const state = { step: 0 };
      const loaded = await loadCheckpoint(engine, { state });
      expect(loaded.path).toBe("memory:global_step2.cairn");
      expect(loaded.skipped.map(({ tag }) => tag)).toEqual(["global_step3"]);
      expect(state.step).toBe(2);
    }
  });

  test("DS-14 a tagged checkpoint that is damaged is an error: no other is taken in its place", async () => {
    const storage = new MemoryStorage();
    const engine = await memoryEngine(storage);
    await saveState(engine, 1, { step: 1 });
    const writer = await storage.createExclusive("2.cairn");
    await writer.write(bytesOf("not a container"));
    const error = await errorOf(loadCheckpoint(engine, {}, { tag: 2 }));
    expect(error.code).toBe("not_a_container");
    expect(error.message).toContain('Cannot load checkpoint "2" (memory:2.cairn): ');
    expect(await codeOf(loadCheckpoint(engine, {}, { tag: "../1" }))).toBe("invalid_tag");
  });

  test("DS-14 the schedule's state is left alone on request", async () => {
    const engine = await memoryEngine();
    await saveCheckpoint(engine, { state: { epoch: 7, lrScheduler: { last: 7 } } }, { tag: "a" });
    const kept = { epoch: 0, lrScheduler: { last: 0 } };
    await loadCheckpoint(engine, { state: kept }, { loadLrSchedulerStates: false });
    expect(kept).toEqual({ epoch: 7, lrScheduler: { last: 0 } });
    await loadCheckpoint(engine, { state: kept });
    expect(kept.lrScheduler).toEqual({ last: 7 });
  });

  test("DS-14 puts state back in place, and a name that is not saved is an error before anything changes", async () => {
    const engine = await memoryEngine();
    await saveCheckpoint(engine, { state: { epoch: 7 } }, { tag: "a" });
    let taken: HostState;
    const part = {
      stateDict: (): StateInput => ({}),
      loadStateDict: (state: HostState): void => void (taken = state),
    };
    const state = { epoch: 0, part };
    expect(await codeOf(loadCheckpoint(engine, { state }))).toBe("state_mismatch");
    expect([state.epoch, taken]).toEqual([0, undefined]);
    await saveCheckpoint(engine, { state: { epoch: 8, part: { n: 1 } } }, { tag: "b" });
    await loadCheckpoint(engine, { state }, { tag: "b" });
    expect([state.epoch, taken]).toEqual([8, { n: 1 }]);
    expect(await loadState(engine, "b")).toEqual({ epoch: 8, part: { n: 1 } });
  });

  gpuTest("DS-14 a strict load that does not fit changes nothing, and a lenient one reports", async (gpu) => {
    const engine = await memoryEngine();
    const store = modelStore(gpu, 4);
    fillStore(store, 1);
    await saveCheckpoint(engine, { store, state: { epoch: 7 } }, { tag: "a" });
    const wider = modelStore(gpu, 5);
    fillStore(wider, 2);
    const before = await contentsOf(wider);
    const state = { epoch: 0 };
    const error = await errorOf(loadCheckpoint(engine, { store: wider, state }));
    expect(error.code).toBe("state_mismatch");
    expect(error.message).toContain(
      'Cannot load checkpoint "a" (memory:a.cairn) strictly: "model.weight" is f32 [4], expected f32 [5]',
    );
    expect(await contentsOf(wider)).toEqual(before);
    expect(state.epoch).toBe(0);
    const { report } = await loadCheckpoint(engine, { store: wider, state }, { loadModuleStrict: false });
    expect(report?.loaded).toEqual(["model.bias", "optimizer.m.bias"]);
    expect(report?.mismatched.map(({ name }) => name)).toEqual(["model.weight", "optimizer.m.weight"]);
    expect(state.epoch).toBe(7);
    for (const closing of [store, wider]) await closing.close();
  });

  gpuTest("DS-14 loads the model only, or all but the optimiser", async (gpu) => {
    const engine = await memoryEngine();
    const store = modelStore(gpu, 4);
    fillStore(store, 1);
    const saved = await contentsOf(store);
    await saveCheckpoint(engine, { store, state: { epoch: 7 } }, { tag: "a", clientState: "mine" });
    for (const options of [{ loadModuleOnly: true }, { loadOptimizerStates: false }]) {
      fillStore(store, 2);
      const other = await contentsOf(store, "optimizer.");
      const state = { epoch: 0 };
      const loaded = await loadCheckpoint(engine, { store, state }, options);
      expect(loaded.report?.loaded).toEqual(["model.weight", "model.bias"]);
      expect(loaded.clientState).toBe("mine");
      expect(await contentsOf(store, "model.")).toEqual(
        Object.fromEntries(Object.entries(saved).filter(([name]) => name.startsWith("model."))),
      );
      expect(await contentsOf(store, "optimizer.")).toEqual(other);
      expect(state.epoch).toBe("loadModuleOnly" in options ? 0 : 7);
    }
    await store.close();
  });

  gpuTest("a dry run reports and changes neither tensors nor state, and calls nobody", async (gpu) => {
    const engine = await memoryEngine();
    const store = modelStore(gpu, 4);
    fillStore(store, 1);
    await saveCheckpoint(engine, { store, state: { epoch: 7 } }, { tag: "a" });
    fillStore(store, 2);
    const before = await contentsOf(store);
    const state = { epoch: 0, missing: 0 };
    const { report } = await loadCheckpoint(engine, { store, state }, {
      dryRun: true,
      only: ["optimizer.*"],
      customLoadFn: () => {
        throw new Error("called");
      },
    });
    expect(report?.loaded).toEqual(["optimizer.m.weight", "optimizer.m.bias"]);
    expect([await contentsOf(store), state]).toEqual([before, { epoch: 0, missing: 0 }]);
    await store.close();
  });

  gpuTest("DS-14 a function of the caller loads the model instead of Cairn", async (gpu) => {
    const engine = await memoryEngine();
    const store = modelStore(gpu, 4);
    fillStore(store, 1);
    const saved = await contentsOf(store);
    await saveCheckpoint(engine, { store }, { tag: "a" });
    fillStore(store, 2);
    const seen: string[] = [];
    await loadCheckpoint(engine, { store }, {
      customLoadFn: async (reader, target) => {
        seen.push(...reader.tensors.map(({ name }) => name));
        const bias = HostTensor.fromBytes(await reader.read("model.bias"), "f32", [2]);
        target.write({ "model.bias": bias });
      },
    });
    expect(seen).toEqual(["model.weight", "model.bias", "optimizer.m.weight", "optimizer.m.bias"]);
    const after = await contentsOf(store);
    expect(after["model.bias"]).toBe(saved["model.bias"]);
    expect(after["model.weight"]).not.toBe(saved["model.weight"]);
    expect(after["optimizer.m.weight"]).toBe(saved["optimizer.m.weight"]);
    await store.close();
  });
});

describe("warmStart", () => {
  gpuTest("TW-16 takes the weights of another run and nothing else", async (gpu) => {
    const run = path.join(directory, "warm");
    const source = modelStore(gpu, 4);
    fillStore(source, 1);
    const { path: file } = await saveCheckpoint(run, { store: source, state: { step: 500 } }, { tag: 500 });
    const store = modelStore(gpu, 4);
    fillStore(store, 2);
    const optimizer = await contentsOf(store, "optimizer.");
    for (const name of [file, path.join(run, "500")]) {
      const report = await warmStart(store, name);
      expect(report.loaded).toEqual(["model.weight", "model.bias"]);
      expect(await contentsOf(store, "model.")).toEqual(await contentsOf(source, "model."));
      expect(await contentsOf(store, "optimizer.")).toEqual(optimizer);
    }
    expect(await codeOf(warmStart(store, path.join(run, "501")))).toBe("not_found");
    const wider = modelStore(gpu, 5);
    expect(await codeOf(warmStart(wider, file))).toBe("state_mismatch");
    for (const closing of [source, store, wider]) await closing.close();
  });
});

function modelStore(gpu: GpuDevice, size: number): TensorStore {
  const store = TensorStore.on(gpu);
  store.define("model", [
    { name: "weight", dtype: "f32", shape: [size] },
    { name: "bias", dtype: "f32", shape: [2] },
  ]);
  store.mirror("optimizer.m", "model");
  return store;
}

async function readText(storage: Storage, name: string, encoding = "utf-8"): Promise<string> {
  const reader = await storage.openRead(name);
  const content = new Uint8Array(reader.byteLength);
  await reader.read(0, content);
  await reader.close();
  return encoding === "latin1"
    ? Array.from(content, (byte) => String.fromCharCode(byte)).join("")
    : new TextDecoder().decode(content);
}

/** The bytes whose numbers are the characters' codes. */
function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
