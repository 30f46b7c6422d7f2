import { describe, expect } from "bun:test";
import type { HostState, Stateful, StateInput } from "../../../src/checkpoint/capture/state_types.ts";
import { loadCheckpoint } from "../../../src/checkpoint/compat/load_checkpoint.ts";
import { Snapshot } from "../../../src/checkpoint/snapshot.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { contentsOf, fillStore, memoryEngine, smallStore } from "../fixtures.ts";

/** Something with a state, whose load may fail. */
class Part implements Stateful {
  value: number;
  readonly #problem: Error | undefined;

  constructor(value: number, problem?: Error) {
    this.value = value;
    this.#problem = problem;
  }

  stateDict(): StateInput {
    return this.value;
  }

  loadStateDict(state: HostState): Promise<void> {
    this.value = Number(state);
    return this.#problem === undefined ? Promise.resolve() : Promise.reject(this.#problem);
  }
}

/** An engine with the checkpoint 1, and a store with other values than that has. */
async function scene(gpu: GpuDevice) {
  const engine = await memoryEngine();
  const store = smallStore(gpu);
  fillStore(store, 1);
  const saving = new Snapshot(engine, { store, part: new Part(5), other: new Part(6), epoch: 3 });
  saving.step = 1;
  await (await saving.save(1)).wait();
  await saving.close();
  fillStore(store, 2);
  return { engine, store };
}

describe("a restore", () => {
  gpuTest(
    "whose last object refuses its state changes nothing: tensors, objects, fields, step, run",
    async (gpu) => {
      const { engine, store } = await scene(gpu);
      const before = await contentsOf(store);
      const refused = new Error("of another version");
      const other = await memoryEngine(engine.storage, { runId: "f".repeat(32) });
      const state = { store, part: new Part(0), epoch: 0, other: new Part(9, refused) };
      const snapshot = new Snapshot(other, state);
      snapshot.step = 77;
      expect(await thrownBy(() => snapshot.restore(1))).toBe(refused);
      expect(await contentsOf(store)).toEqual(before);
      expect([state.part.value, state.epoch, snapshot.step]).toEqual([0, 0, 77]);
      expect([other.runId, other.resumedFrom]).toEqual(["f".repeat(32), undefined]);
      await snapshot.close();
      await store.close();
    },
  );

  gpuTest("into a state that cannot be written to changes nothing", async (gpu) => {
    const { engine, store } = await scene(gpu);
    const before = await contentsOf(store);
    const state = { store, part: new Part(0), epoch: 0 };
    const snapshot = new Snapshot(engine, state);
    Object.freeze(state);
    expect((await thrownBy(() => snapshot.restore(1))).name).toBe("TypeError");
    expect(await contentsOf(store)).toEqual(before);
    expect(state.part.value).toBe(0);
    await store.close();
  });

  gpuTest("runs the caller's code before a tensor changes, and sees an abort after it", async (gpu) => {
    const { engine, store } = await scene(gpu);
    const before = await contentsOf(store);
    const abort = new AbortController();
    const reason = new Error("enough");
    let seen: unknown;
    const part: Stateful = {
      stateDict: () => 0,
      loadStateDict: async () => {
        seen ??= await contentsOf(store);
        abort.abort(reason);
      },
    };
    const snapshot = new Snapshot(engine, { store, part });
    expect(await thrownBy(() => snapshot.restore(1, { signal: abort.signal }))).toBe(reason);
    expect(seen).toEqual(before);
    expect(await contentsOf(store)).toEqual(before);
    await snapshot.close();
    await store.close();
  });

  gpuTest("puts back what a loader of the caller's own wrote before it failed", async (gpu) => {
    const { engine, store } = await scene(gpu);
    const before = await contentsOf(store);
    const part = new Part(0);
    const failure = new Error("half of it");
    const loading = loadCheckpoint(engine, { store, state: { part } }, {
      tag: 1,
      customLoadFn: async (_, into) => {
        fillStore(into, 99);
        await gpu.idle();
        throw failure;
      },
    });
    expect(await thrownBy(() => loading)).toBe(failure);
    expect(await contentsOf(store, "model.")).toEqual(
      Object.fromEntries(Object.entries(before).filter(([name]) => name.startsWith("model."))),
    );
    expect(part.value).toBe(0);
    await store.close();
  });
});
