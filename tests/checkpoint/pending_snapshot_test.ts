import { describe, expect, test } from "bun:test";
import { DecoupledEngine } from "../../src/checkpoint/compose/decoupled_engine.ts";
import type { PendingPhase, PendingSnapshot } from "../../src/checkpoint/pending_snapshot.ts";
import { Snapshot } from "../../src/checkpoint/snapshot.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { HookedStorage } from "../helpers/hooked_storage.ts";
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

/** A storage that notes the phase of a save at each of its calls, and waits a turn. */
function watching(phases: PendingPhase[], pending: () => PendingSnapshot | undefined): HookedStorage {
  return new HookedStorage(new MemoryStorage(), {
    before: async () => {
      const phase = pending()?.phase;
      if (phase !== undefined && phases.at(-1) !== phase) phases.push(phase);
      await new Promise((resolve) => setTimeout(resolve, 0));
    },
  });
}

describe("PendingSnapshot", () => {
  gpuTest("TS-03 goes through copied, reading, writing, committing and committed", async (gpu) => {
    const phases: PendingPhase[] = [];
    const storage = watching(phases, () => snapshot.pending);
    const engine = await memoryEngine(storage, { chunkBytes: 256 });
    const store = smallStore(gpu);
    fillStore(store, 1);
    // Behind the store's tensors, so that something is left to write when the GPU is done.
    const state = { store, history: new Float32Array(1000) };
    const snapshot: Snapshot = new Snapshot(engine, state);
    const pending = await snapshot.save(1);
    expect([pending.phase, pending.isStaged, pending.done]).toEqual(["copied", false, false]);
    const total = store.stats().bytes + 4096;
    expect(pending.progress).toEqual({ done: 0, staged: 0, total });
    await pending.staged;
    expect([pending.phase, pending.isStaged, pending.done]).toEqual(["writing", true, false]);
    expect(pending.progress.done).toBeLessThan(total);
    await pending.wait();
    expect([pending.phase, pending.done]).toEqual(["committed", true]);
    expect(pending.progress).toEqual({ done: total, staged: total, total });
    expect(phases).toEqual(["copied", "reading", "writing", "committing"]);
    await snapshot.close();
    await store.close();
  });

  test("TS-03 with nothing on the GPU it is staged at once and never reading", async () => {
    const phases: PendingPhase[] = [];
    const storage = watching(phases, () => snapshot.pending);
    const snapshot: Snapshot = new Snapshot(await memoryEngine(storage), { epoch: 1 });
    const pending = await snapshot.save(1);
    expect([pending.phase, pending.isStaged]).toEqual(["copied", true]);
    await pending.staged;
    await pending.wait();
    expect(phases).toEqual(["copied", "writing", "committing"]);
  });

  gpuTest(
    "TS-03 once it is staged nothing more is read from the GPU, and a lost device does no harm",
    async (gpu) => {
      const engine = await memoryEngine();
      const store = smallStore(gpu);
      fillStore(store, 1);
      const saved = await contentsOf(store);
      const snapshot = new Snapshot(engine, { store });
      const pending = await snapshot.save(1);
      await pending.staged;
      const { submits } = gpu.counters;
      await pending.wait();
      expect(gpu.counters.submits).toBe(submits);
      fillStore(store, 2);
      await snapshot.restore(1);
      expect(await contentsOf(store)).toEqual(saved);
      await snapshot.close();
      await store.close();
    },
  );

  test("TS-03 a failed save is failed at every point, never done, and both promises tell why", async () => {
    let failures = 0;
    for (let at = 0, hasFired = true; hasFired; at++) {
      const storage = new FaultStorage(new MemoryStorage());
      const snapshot = new Snapshot(await memoryEngine(storage, { verifyEvery: 0 }), { epoch: 1 });
      storage.failAt(at, "EIO");
      const pending = await snapshot.save(1);
      await pending.settled();
      hasFired = storage.hasFired;
      if (pending.done) {
        // Some faults hurt nobody, such as one in looking for leftovers.
        expect(await loadState(await memoryEngine(storage.inner), 1)).toMatchObject({ epoch: 1 });
        await snapshot.close();
        continue;
      }
      failures++;
      expect([pending.phase, pending.done, pending.isSettled]).toEqual(["failed", false, true]);
      expect(await errorOf(pending.wait())).toBe(pending.error as never);
      expect(pending.done).toBe(false);
      await snapshot.close();
    }
    expect(failures).toBeGreaterThan(4);
  });

  test("TS-03 a failure that nobody waited for is thrown by the next save, and not only logged", async () => {
    const storage = new FaultStorage(new MemoryStorage());
    const snapshot = new Snapshot(await memoryEngine(storage), {});
    storage.failAt(1, "EIO");
    const pending = await snapshot.save(1);
    await pending.settled();
    expect(await codeOf(snapshot.save(2))).toBe("storage_failed");
    expect(await fileNames(storage)).toEqual([]);
  });

  gpuTest("TS-03 staged fails with the save where it fails before that", async (gpu) => {
    const storage = new FaultStorage(new MemoryStorage());
    const store = smallStore(gpu);
    const snapshot = new Snapshot(await memoryEngine(storage), { store });
    storage.failAt(0, "ENOSPC");
    const pending = await snapshot.save(1);
    expect(await codeOf(pending.staged)).toBe("disk_full");
    expect(await codeOf(pending.wait())).toBe("disk_full");
    expect(pending.isStaged).toBe(false);
    await snapshot.close();
    await store.close();
  });

  gpuTest(
    "an abort in any phase before the commit ends as aborted, with nothing left behind",
    async (gpu) => {
      for (const phase of ["copied", "reading", "writing"] as const) {
        const storage = new MemoryStorage();
        const store = smallStore(gpu);
        const controller = new AbortController();
        const reason = new Error(phase);
        const watched = new HookedStorage(storage, {
          before: () => {
            if (snapshot.pending?.phase === phase) controller.abort(reason);
          },
        });
        const state = { store, history: new Float32Array(1000) };
        const engine = await memoryEngine(watched, { chunkBytes: 256 });
        const snapshot: Snapshot = new Snapshot(engine, state);
        const pending = await snapshot.save(1, { signal: controller.signal });
        expect(await pending.wait().catch((error: unknown) => error)).toBe(reason);
        expect([pending.phase, pending.done]).toEqual(["aborted", false]);
        expect(await fileNames(storage)).toEqual([]);
        await snapshot.close();
        await store.close();
      }
    },
  );

  test("a decoupled engine's save is not committing while it still writes", async () => {
    const phases: PendingPhase[] = [];
    const storage = watching(phases, () => snapshot.pending);
    const engine = new DecoupledEngine(await memoryEngine(storage, { chunkBytes: 256 }));
    const snapshot: Snapshot = new Snapshot(engine, { history: new Float32Array(1000) });
    const pending = await snapshot.save(1);
    await pending.wait();
    expect(pending.phase).toBe("committed");
    expect(phases).toEqual(["copied", "writing", "committing"]);
    expect(await loadState(await memoryEngine(storage), 1)).toMatchObject({
      history: new Float32Array(1000),
    });
    await snapshot.close();
    await engine.cleanup();
  });
});
