import { describe, expect, test } from "bun:test";
import type { Clock } from "../../../src/base/clock.ts";
import {
  DecoupledEngine,
  type DecoupledEngineOptions,
} from "../../../src/checkpoint/compose/decoupled_engine.ts";
import { engineConformance } from "../../../src/checkpoint/compose/engine_conformance.ts";
import type { CommitReport, CommitTarget, SaveOptions } from "../../../src/checkpoint/engine/engine.ts";
import { EngineWrapper } from "../../../src/checkpoint/compose/engine_wrapper.ts";
import type { CheckpointState, FrozenCheckpoint } from "../../../src/checkpoint/capture/frozen_checkpoint.ts";
import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { codeOf, errorOf, FaultStorage, fileNames, loadState, memoryEngine } from "../fixtures.ts";
import { letTurnsPass, until } from "../../helpers/turns.ts";

/** A clock that stands until somebody sleeps, and then jumps to the end of that sleep. */
class JumpingClock implements Clock {
  nowMs = 0;
  readonly sleeps: number[] = [];

  now(): number {
    return this.nowMs;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    // Work that can end does so first.
    for (let turn = 0; turn < 4 && !signal?.aborted; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    if (signal?.aborted) return;
    this.sleeps.push(ms);
    this.nowMs += ms;
  }
}

/** An engine that stops in the middle of a save until it is told to go on. */
class StuckEngine extends EngineWrapper {
  release: () => void = () => {};
  #gate: Promise<void> = new Promise((resolve) => this.release = resolve);

  override async save(
    state: CheckpointState | FrozenCheckpoint,
    path?: string,
    options: SaveOptions = {},
  ): Promise<undefined> {
    options.onProgress?.({ done: 1000, total: 4000 });
    await this.#gate;
    await this.inner.save(state, path, options);
  }
}

/** An engine that stops before it commits. */
class StuckCommit extends EngineWrapper {
  release: () => void = () => {};
  #gate: Promise<void> = new Promise((resolve) => this.release = resolve);

  override async commit(target: CommitTarget): Promise<CommitReport> {
    await this.#gate;
    return await this.inner.commit(target);
  }
}

async function stuckEngine(
  options: DecoupledEngineOptions = {},
): Promise<{ engine: DecoupledEngine; stuck: StuckEngine; clock: JumpingClock }> {
  const clock = new JumpingClock();
  const stuck = new StuckEngine(await memoryEngine());
  return { engine: new DecoupledEngine(stuck, { clock, ...options }), stuck, clock };
}

async function faultyEngine(): Promise<{ engine: DecoupledEngine; storage: FaultStorage }> {
  const storage = new FaultStorage(new MemoryStorage());
  return { engine: new DecoupledEngine(await memoryEngine(storage)), storage };
}

describe("DecoupledEngine conforms to the engine's contract", () => {
  const open = async (): Promise<DecoupledEngine> => new DecoupledEngine(await memoryEngine());
  for (const { name, run } of engineConformance({ open })) test(name, run);
});

describe("DecoupledEngine", () => {
  test("DS-05 save returns before anything is written, and commit when it is durable", async () => {
    const { engine, stuck } = await stuckEngine();
    expect(engine.isDecoupled()).toBe(true);
    await engine.create("a");
    expect(await engine.save({ state: { step: 1 } })).toBeUndefined();
    let isCommitted = false;
    const committing = engine.commit("a").finally(() => isCommitted = true);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect([isCommitted, await engine.list()]).toEqual([false, []]);
    stuck.release();
    expect((await committing).written.fileBytes).toBeGreaterThan(4096);
    expect(await engine.list()).toEqual(["a"]);
  });

  test("DS-05 a save that failed in the background fails the next call, whichever it is, and later calls work", async () => {
    type Next = (engine: DecoupledEngine) => Promise<unknown>;
    const calls: Record<string, Next> = {
      commit: (engine) => engine.commit("a"),
      create: (engine) => engine.create("b"),
      save: (engine) => engine.save({ state: {} }),
    };
    for (const [name, call] of Object.entries(calls)) {
      const { engine, storage } = await faultyEngine();
      await engine.create("a");
      storage.failAt(storage.operations.length + 3, "ENOSPC");
      await engine.save({ state: { step: 1 } });
      await until(() => storage.hasFired);
      await letTurnsPass();
      const error = await errorOf(call(engine));
      expect(storage.hasFired).toBe(true);
      expect(error.message).toContain("the disk is full");
      expect(error.code).toBe(name === "commit" ? "disk_full" : "commit_failed");
      if (name !== "commit") {
        expect(error.message).toContain('the save of "a" before it failed in the background');
      }
      await engine.create("b");
      await engine.save({ state: { step: 2 } });
      await engine.commit("b");
      expect(await engine.list()).toEqual(["b"]);
      expect(storage.openHandles).toBe(0);
    }
  });

  test("DS-05 a slow writer is told from a dead one: it may go on, and a second commit gets the report", async () => {
    const { engine, stuck, clock } = await stuckEngine({ timeoutMs: 300_000, livenessIntervalMs: 10_000 });
    await engine.create("a");
    await engine.save({ state: { step: 1 } });
    const error = await errorOf(engine.commit("a"));
    expect(clock.sleeps).toEqual(Array.from({ length: 30 }, () => 10_000));
    expect(error.code).toBe("commit_failed");
    expect(error.message).toBe(
      'Cannot commit "a" within 300000 ms: the writer is alive and wrote 1000 of 4000 bytes, the last of them ' +
        "300000 ms ago; commit again to go on waiting, or abort",
    );
    expect(await codeOf(engine.create("b"))).toBe("commit_failed");
    stuck.release();
    expect((await engine.commit("a")).tag).toBe("a");
    expect(await engine.list()).toEqual(["a"]);
  });

  test("DS-05 a save that fails after its commit was given up waiting for fails the next call", async () => {
    const storage = new FaultStorage(new MemoryStorage());
    const stuck = new StuckEngine(await memoryEngine(storage));
    const engine = new DecoupledEngine(stuck, { clock: new JumpingClock() });
    await engine.create("a");
    await engine.save({ state: { step: 1 } });
    expect((await errorOf(engine.commit("a"))).message).toContain("the writer is alive");
    storage.failAt(storage.operations.length, "EIO", { onward: true });
    stuck.release();
    await until(() => storage.hasFired);
    await letTurnsPass();
    storage.heal();
    expect((await errorOf(engine.create("b"))).message).toContain(
      'the save of "a" before it failed in the background and was not committed',
    );
    await engine.create("b");
  });

  test("DS-05 a commit that fails after it was given up waiting for fails the next call as well", async () => {
    const storage = new FaultStorage(new MemoryStorage());
    const stuck = new StuckCommit(await memoryEngine(storage));
    const engine = new DecoupledEngine(stuck, { clock: new JumpingClock() });
    await engine.create("a");
    await engine.save({ state: { step: 1 } });
    expect((await errorOf(engine.commit("a"))).message).toContain("the writer is alive");
    storage.failAt(storage.operations.length, "EIO", { onward: true });
    stuck.release();
    await until(() => storage.hasFired);
    await letTurnsPass();
    storage.heal();
    expect((await errorOf(engine.create("b"))).message).toContain('the save of "a" before it failed');
    await engine.create("b");
    expect(await engine.list()).toEqual([]);
  });

  test("DS-05 a dead writer is found at the next look, and every later call says so", async () => {
    let looks = 0;
    const { engine, clock } = await stuckEngine({ isWriterAlive: () => ++looks <= 4 });
    await engine.create("a");
    await engine.save({ state: { step: 1 } });
    const error = await errorOf(engine.commit("a"));
    expect(error.message).toContain('Cannot commit "a": the writer died');
    expect(clock.nowMs).toBe(30_000);
    for (const call of [engine.commit("a"), engine.create("b"), engine.save({ state: {} })]) {
      expect((await errorOf(call)).message).toContain("the writer died");
    }
    expect(await engine.list()).toEqual([]);
    await engine.abort();
    await engine.cleanup();
  });

  test("DS-05 a writer that is dead already takes no save", async () => {
    let isAlive = true;
    const { engine } = await stuckEngine({ isWriterAlive: () => isAlive });
    await engine.create("a");
    isAlive = false;
    expect((await errorOf(engine.save({ state: {} }))).message).toContain("the writer died");
    isAlive = true;
    expect((await errorOf(engine.create("b"))).message).toContain("the writer died");
  });

  test("DS-05 one save is in flight: the next create waits for a commit, and refuses without one", async () => {
    const { engine, stuck } = await stuckEngine();
    await engine.create("a");
    await engine.save({ state: { step: 1 } });
    expect((await errorOf(engine.create("b"))).message).toBe(
      'Cannot create "b": "a" was saved and not committed; commit it or call abort() first',
    );
    expect(await codeOf(engine.save({ state: {} }))).toBe("commit_failed");
    const committing = engine.commit("a");
    // Either may settle first, but by then "a" is there.
    const creating = engine.create("b").then(() => engine.list());
    stuck.release();
    expect(await creating).toEqual(["a"]);
    await committing;
    await engine.save({ state: { step: 2 } });
    await engine.commit("b");
    expect(await engine.list()).toEqual(["a", "b"]);
  });

  test("DS-06 cleanup commits what was saved, can be called twice and at once, and never throws", async () => {
    const inner = await memoryEngine();
    const engine = new DecoupledEngine(inner);
    await engine.create("a");
    await engine.save({ state: { step: 1 } });
    await Promise.all([engine.cleanup(), engine.cleanup()]);
    await engine.cleanup();
    expect(await loadState(inner, "a")).toEqual({ step: 1 });
  });

  test("DS-06 cleanup reports and does not throw what a failed or a stuck writer could not save", async () => {
    const told: unknown[] = [];
    const onCleanupError = (error: unknown): void => {
      told.push(error);
      throw new Error("a reporter that fails");
    };
    const storage = new FaultStorage(new MemoryStorage());
    const failing = new DecoupledEngine(await memoryEngine(storage), { onCleanupError });
    await failing.create("a");
    storage.failAt(storage.operations.length + 3, "EIO", { onward: true });
    await failing.save({ state: {} });
    await failing.cleanup();
    expect(told).toHaveLength(1);
    expect(await codeOf(Promise.reject(told[0]))).toBe("storage_failed");
    const { engine } = await stuckEngine({ onCleanupError });
    await engine.create("a");
    await engine.save({ state: {} });
    await engine.cleanup();
    expect(told.length).toBeGreaterThan(1);
    expect(String(told[1])).toContain("within 300000 ms");
  });

  test("DS-11 the commit comes at the next step boundary: a crash in between leaves the save invisible", async () => {
    const storage = new MemoryStorage();
    const engine = new DecoupledEngine(await memoryEngine(storage));
    const weights = new Float32Array([0]);
    const atBoundary = async (step: number): Promise<void> => {
      if (engine.uncommitted !== undefined) await engine.commit(engine.uncommitted);
      weights[0] = step;
      await engine.create(step);
      await engine.save({ state: { weights }, provenance: { step } });
    };
    await atBoundary(1);
    await atBoundary(2);
    await until(async () => (await fileNames(storage)).some((name) => name.startsWith(".tmp-")));
    await letTurnsPass();
    // The machine stops here: what is left of the second save has no name.
    const next = await memoryEngine(storage);
    expect(await next.list()).toEqual(["1"]);
    const { checkpoint } = await recover(next);
    expect(await checkpoint?.state()).toEqual({ weights: new Float32Array([1]) });
    await checkpoint?.close();
    expect((await fileNames(storage)).filter((name) => name.startsWith(".tmp-"))).toHaveLength(1);
    // Without a crash, the next boundary makes it exist.
    await atBoundary(3);
    expect(await engine.list()).toEqual(["1", "2"]);
    await engine.cleanup();
  });

  test("refuses times that would never end a wait", async () => {
    const inner = await memoryEngine();
    expect(() => new DecoupledEngine(inner, { timeoutMs: 0 })).toThrow(RangeError);
    expect(() => new DecoupledEngine(inner, { livenessIntervalMs: NaN })).toThrow(RangeError);
  });
});
