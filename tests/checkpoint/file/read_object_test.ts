import { describe, expect, test } from "bun:test";
import type { Checkpoint } from "../../../src/checkpoint/file/checkpoint.ts";
import type { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import type { HostState, StateInput } from "../../../src/checkpoint/capture/state_types.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { HookedStorage } from "../../helpers/hooked_storage.ts";
import { codeOf, errorOf, fillStore, memoryEngine, smallStore } from "../fixtures.ts";

/** Saves a state and opens it; `reads` gets the length of every read from the file after that. */
async function saved(
  state: StateInput,
  options: { reads?: number[]; chunkBytes?: number; clientState?: StateInput } = {},
): Promise<Checkpoint> {
  const { reads = [], clientState, ...engineOptions } = options;
  const storage = new HookedStorage(new MemoryStorage(), {
    read: (_, into, read) => {
      reads.push(into.byteLength);
      return read();
    },
  });
  const engine: FileEngine = await memoryEngine(storage, { verifyEvery: 0, ...engineOptions });
  await engine.create("a");
  await engine.save({ state, clientState });
  await engine.commit("a");
  const checkpoint = await engine.load("a");
  reads.length = 0;
  return checkpoint;
}

async function typeErrorOf(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(TypeError);
  return (error as Error).message;
}

const WAVE = new Float32Array(300_000).map((_, index) => Math.sin(index));

describe("Checkpoint.readObject", () => {
  gpuTest("TS-05 reads one tensor by its path in the manifest, and nothing else", async (gpu) => {
    const reads: number[] = [];
    const store = smallStore(gpu);
    fillStore(store, 1);
    const storage = new HookedStorage(new MemoryStorage(), {
      read: (_, into, read) => {
        reads.push(into.byteLength);
        return read();
      },
    });
    const engine = await memoryEngine(storage, { chunkBytes: 256, verifyEvery: 0 });
    await engine.create("a");
    await engine.save({ store, state: { wave: WAVE.subarray(0, 2000) } });
    await engine.commit("a");
    const checkpoint = await engine.load("a");
    reads.length = 0;
    const bias = await checkpoint.readObject("tensors/model.0.bias") as HostTensor;
    expect(bias.equals((await store.read(["model.0.bias"])).get("model.0.bias") as HostTensor)).toBe(true);
    expect(reads.reduce((sum, length) => sum + length, 0)).toBeLessThan(2048);
    await checkpoint.close();
    await store.close();
  });

  test("TS-05 stays within the memory budget, and reads the same", async () => {
    const largest: number[] = [];
    for (const budget of [1, 64 * 1024, 256 * 1024, 100 * 1024 * 1024, undefined]) {
      const reads: number[] = [];
      const checkpoint = await saved({ wave: WAVE }, { reads, chunkBytes: 16 * 1024 });
      const into = new Float32Array(WAVE.length);
      const options = budget === undefined ? {} : { memoryBudgetBytes: budget };
      expect(await checkpoint.readObject("state/wave", { ...options, into })).toBe(into);
      expect(into).toEqual(WAVE);
      expect(await checkpoint.readObject("state/wave", options)).toEqual(WAVE);
      const most = Math.max(...reads);
      largest.push(most);
      // One chunk is read whatever the budget is.
      if (budget !== undefined) expect(most).toBeLessThanOrEqual(Math.max(budget, 20 * 1024));
      await checkpoint.close();
    }
    // And the budget is used.
    expect(largest[2]).toBeGreaterThan(128 * 1024);
    expect(largest[4]).toBeGreaterThan(512 * 1024);
    const checkpoint = await saved({ wave: WAVE });
    for (const memoryBudgetBytes of [0, -1, NaN]) {
      const error: unknown = await checkpoint.readObject("state/wave", { memoryBudgetBytes })
        .catch((cause: unknown) => cause);
      expect(error).toBeInstanceOf(RangeError);
    }
  });

  test("TS-05 reads in place into memory of the same form, and refuses any other", async () => {
    const weight = HostTensor.from([[1, 2], [3, 4]]);
    const checkpoint = await saved({ weight, curve: new Float32Array([5, 6]), epoch: 1 });
    const target = HostTensor.from([[0, 0], [0, 0]]);
    const { bytes } = target;
    expect(await checkpoint.readObject("state/weight", { into: target })).toBe(target);
    expect(target.equals(weight)).toBe(true);
    expect(target.bytes).toBe(bytes);
    const raw = new Uint8Array(8);
    await checkpoint.readObject("state/curve", { into: raw });
    expect(new Float32Array(raw.buffer)).toEqual(new Float32Array([5, 6]));
    const wrong: (HostTensor | ArrayBufferView)[] = [
      HostTensor.from([1, 2, 3, 4]),
      HostTensor.from([[1, 2], [3, 4]], [2, 2], "f16"),
      new Float32Array(3),
      new Float64Array(2),
    ];
    for (const into of wrong) {
      expect(await typeErrorOf(checkpoint.readObject("state/weight", { into })))
        .toBe('Cannot read "state/weight" into memory of another dtype or shape: it is f32 [2, 2]');
    }
    expect(await typeErrorOf(checkpoint.readObject("state/epoch", { into: raw }))).toContain("is no tensor");
  });

  test("TS-05 an unknown path is an error that says where the paths are", async () => {
    const checkpoint = await saved({ epoch: 1, list: [1] });
    const error = await errorOf(checkpoint.readObject("state/epocj"));
    expect(error.code).toBe("not_found");
    expect(error.message).toBe(
      'There is no object "state/epocj" in checkpoint "a" (memory:a.cairn); getManifest().entries has the paths, ' +
        'as in "tensors/model.0.weight"',
    );
    for (
      const path of [
        "",
        "epoch",
        "tensors",
        "tensors/x",
        "tensors/state:curve",
        "state/list/1",
        "state/list/length",
      ]
    ) expect(await codeOf(checkpoint.readObject(path))).toBe("not_found");
    for (const path of ["state/constructor", "state/epoch/x", "clientState", "state//epoch"]) {
      expect(await codeOf(checkpoint.readObject(path))).toBe("not_found");
    }
  });

  test("TS-06 the state of one key without an object to load it into, and only its tensors are read", async () => {
    const reads: number[] = [];
    const state = { loader: { epoch: 2, order: new Uint32Array([3, 1, 2]) }, wave: WAVE, "a/b": null };
    const checkpoint = await saved(state, { reads, chunkBytes: 4096 });
    expect(await checkpoint.stateFor("loader")).toEqual({ epoch: 2, order: new Uint32Array([3, 1, 2]) });
    expect(reads.reduce((sum, length) => sum + length, 0)).toBeLessThan(3 * 4096);
    expect(await checkpoint.stateFor("a/b")).toBe(null);
    expect(await codeOf(checkpoint.stateFor("model"))).toBe("not_found");
  });
});

describe("Checkpoint.getManifest", () => {
  test("TS-06 is a deep copy, and reads nothing", async () => {
    const reads: number[] = [];
    const checkpoint = await saved({ list: [1, { a: new Date(5) }], curve: new Float32Array(2) }, { reads });
    const manifest = checkpoint.getManifest();
    const before = JSON.stringify(manifest);
    const { entries } = manifest as { entries: Record<string, { value?: Date; shape?: number[] }> };
    entries["state/list/1/a"]?.value?.setTime(9);
    entries["state/curve"]?.shape?.push(7);
    delete entries["state/list"];
    manifest.provenance.tag = "b";
    manifest.metrics.loss = 1;
    expect(JSON.stringify(checkpoint.getManifest())).toBe(before);
    expect(reads).toEqual([]);
    expect(await checkpoint.state()).toEqual({ list: [1, { a: new Date(5) }], curve: new Float32Array(2) });
  });

  gpuTest("TS-08 has an entry for every tensor, list, dict, map and value, values in place", async (gpu) => {
    const store = smallStore(gpu);
    const engine = await memoryEngine();
    await engine.create(12);
    await engine.save({
      store,
      state: {
        numbers: [0.1, -0, NaN, Infinity, 2 ** 53, 5e-324],
        texts: { "": "x", flag: true, none: null, nothing: undefined, big: 12345678901234567890n },
        byStep: new Map<HostState, HostState>([[10, "a"], ["x", new Float64Array(3)]]),
        seen: new Set([1]),
      },
      metrics: { loss: NaN },
      clientState: "mine",
    });
    await engine.commit(12);
    const checkpoint = await engine.load(12);
    const { tag, step, metrics, entries } = checkpoint.getManifest();
    expect({ tag, step, metrics }).toEqual({ tag: "12", step: 12, metrics: { loss: NaN } });
    const ofState = Object.entries(entries).filter(([path]) => !path.startsWith("tensors/"));
    expect(ofState).toEqual([
      ["state", { kind: "dict", keys: ["numbers", "texts", "byStep", "seen"] }],
      ["state/numbers", { kind: "list", length: 6 }],
      ["state/numbers/0", { kind: "value", value: 0.1 }],
      ["state/numbers/1", { kind: "value", value: -0 }],
      ["state/numbers/2", { kind: "value", value: NaN }],
      ["state/numbers/3", { kind: "value", value: Infinity }],
      ["state/numbers/4", { kind: "value", value: 2 ** 53 }],
      ["state/numbers/5", { kind: "value", value: 5e-324 }],
      ["state/texts", { kind: "dict", keys: ["", "flag", "none", "nothing", "big"] }],
      ["state/texts/", { kind: "value", value: "x" }],
      ["state/texts/flag", { kind: "value", value: true }],
      ["state/texts/none", { kind: "value", value: null }],
      ["state/texts/nothing", { kind: "value", value: undefined }],
      ["state/texts/big", { kind: "value", value: 12345678901234567890n }],
      ["state/byStep", { kind: "map", keys: [10, "x"] }],
      ["state/byStep/10", { kind: "value", value: "a" }],
      ["state/byStep/x", {
        kind: "tensor",
        dtype: "f64",
        shape: [3],
        byteLength: 24,
        view: "Float64Array",
      }],
      ["state/seen", { kind: "object" }],
      ["clientState", { kind: "value", value: "mine" }],
    ]);
    const tensors = Object.keys(entries).filter((path) => path.startsWith("tensors/"));
    expect(tensors).toEqual(store.tensors().map(({ name }) => `tensors/${name}`));
    expect(entries["tensors/model.mask"]).toEqual({ kind: "tensor", dtype: "u8", shape: [7], byteLength: 7 });
    expect(entries["tensors/model.tied"]).toMatchObject({
      aliasOf: "tensors/model.0.weight",
      shape: [20, 30],
    });
    await checkpoint.close();
    await store.close();
  });

  test("TS-08 every path can be read, and gives what the whole state has there", async () => {
    const state = {
      a: [{ b: new Map([[1, { c: 2 }]]) }],
      seen: new Set([1]),
      curve: new Int16Array([1, -1]),
    };
    const checkpoint = await saved(state);
    const seen: Record<string, HostState> = {};
    for (const path of Object.keys(checkpoint.getManifest().entries)) {
      seen[path] = await checkpoint.readObject(path) as HostState;
    }
    expect(seen).toEqual({
      state,
      "state/a": state.a,
      "state/a/0": { b: new Map([[1, { c: 2 }]]) },
      "state/a/0/b": new Map([[1, { c: 2 }]]),
      "state/a/0/b/1": { c: 2 },
      "state/a/0/b/1/c": 2,
      "state/seen": state.seen,
      "state/curve": state.curve,
    });
  });
});

describe("odd keys", () => {
  const ODD = [
    "a/b",
    "a%2Fb",
    "%",
    "%25",
    "a",
    "..",
    "/",
    "",
    "$",
    "$$",
    "é",
    "\u0000",
    "a.b",
    "x[0]",
    "constructor",
  ];

  test("TS-09 keys with any characters come back in their order, beside each other and by path", async () => {
    const state = Object.fromEntries(
      ODD.map((key, index) => [key, { index, data: new Uint8Array([index]) }]),
    );
    const checkpoint = await saved(state);
    const loaded = await checkpoint.state() as typeof state;
    expect(Object.keys(loaded)).toEqual(ODD);
    expect(loaded).toEqual(state);
    for (const [index, key] of ODD.entries()) {
      expect(await checkpoint.stateFor(key)).toEqual({ index, data: new Uint8Array([index]) });
    }
    const { entries } = checkpoint.getManifest();
    expect(entries["state/a%2Fb/index"]).toEqual({ kind: "value", value: 0 });
    expect(entries["state/a%252Fb/index"]).toEqual({ kind: "value", value: 1 });
    expect(Object.keys(entries).length).toBe(1 + 3 * ODD.length);
  });

  test("TS-09 integer keys of a map come back as integers, in order, and never as text", async () => {
    const byStep = new Map<HostState, HostState>([[20, "b"], [3, "a"], [-1, "c"], ["x/y", "d"]]);
    const checkpoint = await saved({ byStep });
    const loaded = await checkpoint.state() as { byStep: Map<unknown, unknown> };
    expect([...loaded.byStep]).toEqual([...byStep]);
    expect(checkpoint.getManifest().entries["state/byStep"]).toEqual({
      kind: "map",
      keys: [20, 3, -1, "x/y"],
    });
    expect(await checkpoint.readObject("state/byStep/-1")).toBe("c");
    expect(await checkpoint.readObject("state/byStep/x%2Fy")).toBe("d");
  });

  test("TS-09 a map whose keys are alike as text, or are no keys, is kept as a whole", async () => {
    const alike = new Map<HostState, HostState>([[1, "number"], ["1", "text"]]);
    const others = new Map<HostState, HostState>([[1.5, "a"], [true, "b"], [null, "c"], [NaN, "d"]]);
    const checkpoint = await saved({ alike, others });
    expect(await checkpoint.state()).toEqual({ alike, others });
    const { entries } = checkpoint.getManifest();
    expect([entries["state/alike"], entries["state/others"]]).toEqual([{ kind: "object" }, {
      kind: "object",
    }]);
    expect(await checkpoint.readObject("state/alike")).toEqual(alike);
    expect(await codeOf(checkpoint.readObject("state/alike/1"))).toBe("not_found");
  });
});
