import { describe, expect, test } from "bun:test";
import { CommitInfo } from "../../../src/checkpoint/engine/commit_info.ts";
import type { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import { readLatestHint } from "../../../src/checkpoint/engine/latest_hint.ts";
import { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { FakeDevice } from "../../helpers/fake_device.ts";
import { bytes, writeFile } from "../../storage/storage_contract.ts";
import {
  atEveryOperation,
  codeOf,
  errorOf,
  FaultStorage,
  fileNames,
  loadState,
  memoryEngine,
  OTHER_RUN_ID,
  RUN_ID,
  saveState,
  smallStore,
} from "../fixtures.ts";

/** What recovery would go on from. */
async function recovered(engine: FileEngine): Promise<unknown> {
  const { checkpoint } = await recover(engine);
  try {
    return checkpoint === undefined ? undefined : await checkpoint.state();
  } finally {
    await checkpoint?.close();
  }
}

describe("CommitInfo", () => {
  test("DS-01 commit infos with equal fields are equal, and with any other field are not", () => {
    const info = CommitInfo.of({ tag: "a", saveDir: "runs", saveLatest: true });
    expect(info.equals(CommitInfo.of({ tag: "a", saveDir: "runs" }))).toBe(true);
    expect(info.equals(CommitInfo.of({ tag: "b", saveDir: "runs" }))).toBe(false);
    expect(info.equals(CommitInfo.of({ tag: "a", saveDir: "other" }))).toBe(false);
    expect(info.equals(CommitInfo.of({ tag: "a", saveDir: "runs", saveLatest: false }))).toBe(false);
    expect(info.equals(null)).toBe(false);
    expect(CommitInfo.of("a").equals(CommitInfo.of({ tag: "a" }))).toBe(true);
    expect(CommitInfo.of(100).tag).toBe("100");
    expect(() => Object.assign(info, { tag: "b" })).toThrow(TypeError);
  });
});

describe("FileEngine", () => {
  test("DS-02 create, save and commit make a checkpoint that load gives back", async () => {
    const engine = await memoryEngine();
    const state = { step: 7, when: new Date(5), weights: new Float32Array([1, NaN, -0]), nothing: undefined };
    await engine.create("step-7");
    expect(engine.uncommitted).toMatchObject({ tag: "step-7" });
    expect(await fileNames(engine.storage)).toEqual([]);
    await engine.save({ state, metrics: { loss: NaN }, provenance: { step: 7, epoch: 1 } });
    expect(await engine.list()).toEqual([]);
    const report = await engine.commit("step-7");
    expect(report).toMatchObject({
      tag: "step-7",
      path: "memory:step-7.cairn",
      isVerified: true,
      warnings: [],
    });
    expect(report.written.rawBytes).toBe(256);
    expect(engine.uncommitted).toBeUndefined();
    expect(await fileNames(engine.storage)).toEqual(["latest", "step-7.cairn"]);
    const checkpoint = await engine.load("step-7");
    const { weights, ...rest } = await checkpoint.state() as typeof state;
    expect(rest).toEqual({ step: 7, when: new Date(5), nothing: undefined });
    expect("nothing" in rest).toBe(true);
    expect(weights).toBeInstanceOf(Float32Array);
    expect([...weights]).toEqual([1, NaN, -0]);
    expect(checkpoint.metrics).toEqual({ loss: NaN });
    expect(checkpoint.provenance).toMatchObject({
      runId: RUN_ID,
      tag: "step-7",
      step: 7,
      epoch: 1,
      writer: "cairn 0.1.0",
    });
    await checkpoint.close();
  });

  test("DS-02 accepts a tag and a commit info alike", async () => {
    const engine = await memoryEngine();
    await engine.create("a");
    await engine.save({ state: {} }, "memory:a.cairn");
    expect((await engine.commit({ tag: "a" })).tag).toBe("a");
    await engine.create({ tag: "b", saveDir: "other", saveLatest: false });
    await engine.save({ state: {} });
    expect((await engine.commit(CommitInfo.of({ tag: "b", saveDir: "other", saveLatest: false }))).path)
      .toBe("memory:other/b.cairn");
    expect(await readLatestHint(engine.storage, "")).toBe("a");
    expect(await readLatestHint(engine.storage, "other")).toBeUndefined();
  });

  test("DS-02 an impossible commit is an error: nothing created, nothing saved, another tag", async () => {
    const engine = await memoryEngine();
    expect((await errorOf(engine.commit("a"))).message).toBe(
      'Cannot commit "a": nothing was created; call create() and save() first',
    );
    expect(await codeOf(engine.save({ state: {} }))).toBe("commit_failed");
    await engine.create("a");
    expect((await errorOf(engine.commit("a"))).message).toBe(
      'Cannot commit "a": nothing was saved; call save() first',
    );
    await engine.save({ state: {} });
    expect((await errorOf(engine.commit("b"))).message).toBe(
      'Cannot commit "b": "a" was created, with other fields or tag',
    );
    expect(await codeOf(engine.commit({ tag: "a", saveLatest: false }))).toBe("commit_failed");
    expect(await codeOf(engine.create("c"))).toBe("commit_failed");
    expect(await codeOf(engine.save({ state: {} }))).toBe("commit_failed");
    await engine.commit("a");
    expect(await codeOf(engine.commit("a"))).toBe("commit_failed");
    expect(await engine.list()).toEqual(["a"]);
  });

  test("does one thing at a time and refuses a second", async () => {
    const engine = await memoryEngine();
    await engine.create("a");
    const first = engine.save({ state: { step: 1 } });
    expect((await errorOf(engine.save({ state: { step: 2 } }))).message).toContain(
      "is under way; await that first",
    );
    expect(await codeOf(engine.create("b"))).toBe("commit_failed");
    await first;
    await engine.commit("a");
    expect(await loadState(engine, "a")).toEqual({ step: 1 });
  });

  test("freezes live state in the tick of save, whatever happens to it while it is written", async () => {
    const engine = await memoryEngine();
    const state = { step: 1, history: new Float32Array([1, 2]), list: [{ a: 1 }] };
    await engine.create("a");
    const saving = engine.save({ state });
    state.step = 2;
    state.history[0] = 9;
    state.list.push({ a: 2 });
    await saving;
    await engine.commit("a");
    expect(await loadState(engine, "a")).toEqual({
      step: 1,
      history: new Float32Array([1, 2]),
      list: [{ a: 1 }],
    });
  });

  test("refuses a tag that is there, and replaces it in one step when it is told to", async () => {
    const engine = await memoryEngine();
    await saveState(engine, "a", { step: 1 });
    const error = await errorOf(engine.create("a"));
    expect(error.code).toBe("already_exists");
    expect(error.message).toBe(
      'Cannot create checkpoint "a": "memory:a.cairn" exists already; choose another tag, or pass overwrite to replace it',
    );
    await saveState(engine, "a", { step: 2 }, { overwrite: true });
    expect(await loadState(engine, "a")).toEqual({ step: 2 });
  });

  test("two engines with one tag: the loser gets already_exists and the winner's checkpoint stays", async () => {
    const storage = new MemoryStorage();
    const first = await memoryEngine(storage);
    const second = await memoryEngine(storage, { runId: OTHER_RUN_ID });
    await first.create("a");
    await second.create("a");
    await first.save({ state: { by: 1 } });
    await second.save({ state: { by: 2 } });
    await second.commit("a");
    expect(await codeOf(first.commit("a"))).toBe("already_exists");
    expect(await loadState(first, "a")).toEqual({ by: 2 });
    expect(await fileNames(storage)).toEqual(["a.cairn", "latest"]);
  });

  test("an abort during the save removes what was written, keeps the reason, and leaves the engine usable", async () => {
    const reason = new Error("enough");
    const state = { history: new Float32Array(1000) };
    for (let calls = 0;; calls++) {
      const engine = await memoryEngine(undefined, { chunkBytes: 256 });
      await saveState(engine, "old", { step: 1 });
      const controller = new AbortController();
      let seen = 0;
      const onProgress = (): void => {
        if (seen++ === calls) controller.abort(reason);
      };
      await engine.create("new");
      const options = { signal: controller.signal, onProgress };
      const outcome = await engine.save({ state }, undefined, options).then(
        () => "saved",
        (error: unknown) => error,
      );
      if (!controller.signal.aborted) {
        expect(seen).toBeGreaterThan(10);
        break;
      }
      const isLast = outcome === "saved";
      const end = isLast ? await engine.commit("new", options).catch((error: unknown) => error) : outcome;
      expect(end).toBe(reason);
      expect(await fileNames(engine.storage)).toEqual(["latest", "old.cairn"]);
      await saveState(engine, "new", { step: 2 });
      expect(await engine.list()).toEqual(["new", "old"]);
    }
  });

  test("a crash at any operation of a save leaves the old checkpoint or the new one to recover from", async () => {
    for (const takesEffect of [false, true]) {
      for (const tag of ["new", "old"]) {
        const points = await atEveryOperation(async (at) => {
          const inner = new MemoryStorage();
          await saveState(await memoryEngine(inner), "old", { step: 1 }, { step: 1 });
          const storage = new FaultStorage(inner);
          const engine = await memoryEngine(storage, { chunkBytes: 256 });
          storage.crashAt(at, { takesEffect });
          const outcome = await saveState(engine, tag, { step: 2 }, { overwrite: true, step: 2 })
            .then(() => "committed", () => "crashed");
          // Another process, after the restart.
          const next = await memoryEngine(inner);
          const found = await recovered(next);
          expect(['{"step":1}', '{"step":2}']).toContain(JSON.stringify(found));
          if (outcome === "committed") expect(found).toEqual({ step: 2 });
          await saveState(next, "next", { step: 3 }, { step: 3 });
          expect((await fileNames(inner)).filter((name) => name.startsWith(".tmp-"))).toEqual([]);
          expect(await recovered(next)).toEqual({ step: 3 });
          return storage;
        });
        expect(points).toBeGreaterThanOrEqual(20);
      }
    }
  });

  for (const code of ["EIO", "ENOSPC"]) {
    test(`${code} at any operation of a save is a typed error or a warning, and the next save works`, async () => {
      for (const onward of [false, true]) {
        await atEveryOperation(async (at) => {
          const inner = new MemoryStorage();
          await saveState(await memoryEngine(inner), "old", { step: 1 }, { step: 1 });
          const storage = new FaultStorage(inner);
          const engine = await memoryEngine(storage);
          storage.failAt(at, code, { onward });
          const error = await saveState(engine, "new", { step: 2 }, { step: 2 }).then(
            () => undefined,
            (e: unknown) => e,
          );
          await engine.abort();
          storage.heal();
          if (storage.hasFired && error !== undefined) {
            expect(error).toMatchObject({
              name: "CairnError",
              code: code === "EIO" ? "storage_failed" : "disk_full",
            });
            expect(await loadState(engine, "old")).toEqual({ step: 1 });
          } else {
            expect(await recovered(engine)).toEqual({ step: 2 });
          }
          expect(storage.openHandles).toBe(0);
          await saveState(engine, "new", { step: 3 }, { step: 3, overwrite: error === undefined });
          expect(await recovered(engine)).toEqual({ step: 3 });
          expect((await fileNames(inner)).filter((name) => name.startsWith(".tmp-"))).toEqual([]);
          return storage;
        });
      }
    });
  }

  test("a hint that cannot be written is a warning: the checkpoint is durable all the same", async () => {
    const storage = new FaultStorage(new MemoryStorage());
    const engine = await memoryEngine(storage);
    await engine.create("a");
    await engine.save({ state: {} });
    const hint = (await countUntilHint()) + storage.operations.length;
    storage.failAt(hint, "ENOSPC");
    const report = await engine.commit("a");
    expect(report.warnings.map(({ code }) => code)).toEqual(["disk_full"]);
    expect(await engine.list()).toEqual(["a"]);
    expect(await readLatestHint(storage, "")).toBeUndefined();
  });

  test("removes its own dead temporary files at once, and those of others only after a day", async () => {
    let nowMs = Date.UTC(2026, 0, 1);
    const storage = new MemoryStorage({ now: () => nowMs });
    await writeFile(storage, `.tmp-${RUN_ID}-dead`, bytes("x"));
    await writeFile(storage, `.tmp-${OTHER_RUN_ID}-maybe-alive`, bytes("x"));
    await writeFile(storage, "notes.txt", bytes("x"));
    const engine = await memoryEngine(storage, { now: () => nowMs });
    await engine.create("a");
    expect(await fileNames(storage)).toEqual([`.tmp-${OTHER_RUN_ID}-maybe-alive`, "notes.txt"]);
    nowMs += 25 * 60 * 60 * 1000;
    await engine.create("a");
    expect(await fileNames(storage)).toEqual(["notes.txt"]);
  });

  test("temporary names are of one length, so that a long tag cannot make them too long", async () => {
    const storage = new FaultStorage(new MemoryStorage());
    const engine = await memoryEngine(storage);
    for (const tag of ["a", "x".repeat(128)]) {
      await engine.create(tag);
      await engine.save({ state: {} });
      await engine.abort();
    }
    const names = storage.operations.filter(({ op }) => op === "createExclusive").map(({ path }) => path);
    expect(names.length).toBe(2);
    expect(new Set(names.map((name) => name.length)).size).toBe(1);
    // What the strictest file systems take for a name, those that encrypt names.
    expect(names[0]?.length).toBeLessThan(143);
    expect(new Set(names).size).toBe(2);
    expect(await fileNames(storage)).toEqual([]);
  });

  test("reads back the first checkpoint and every tenth before they are published", async () => {
    const engine = await memoryEngine();
    const verified: boolean[] = [];
    for (let step = 0; step < 12; step++) {
      await engine.create(step);
      await engine.save({ state: { step } });
      verified.push((await engine.commit(step)).isVerified);
    }
    expect(verified.map((isVerified, step) => isVerified ? step : -1).filter((step) => step >= 0)).toEqual([
      0,
      10,
    ]);
  });

  test("loads by tag, step, file name and full path, and nothing outside its directory", async () => {
    const engine = await memoryEngine(new MemoryStorage(), { directory: "runs/one" });
    await saveState(engine, 100, { step: 100 });
    expect(engine.pathOf("100")).toBe("memory:runs/one/100.cairn");
    for (const name of [100, "100", "100.cairn", "memory:runs/one/100.cairn"]) {
      expect(await loadState(engine, name)).toEqual({ step: 100 });
    }
    for (const name of ["../100", "runs/one/100.cairn", "memory:runs/100.cairn", "/etc/passwd"]) {
      expect(await codeOf(engine.load(name))).toBe("invalid_tag");
    }
    expect(await codeOf(engine.load("101"))).toBe("not_found");
  });

  test("does not commit what came from a device that was lost since, and goes on with another one", async () => {
    for (const lossStyle of ["abrupt", "silent"] as const) {
      const storage = new MemoryStorage();
      const engine = await memoryEngine(storage);
      await saveState(engine, "old", { step: 1 }, { step: 1 });
      for (const [tag, isLost] of [["lost", true], ["new", false]] as const) {
        const fake = new FakeDevice({ lossStyle });
        const gpu = await GpuDevice.open({ device: fake.device });
        const store = smallStore(gpu);
        await engine.create(tag);
        await engine.save({ store });
        if (isLost) fake.lose();
        if (isLost) expect(await codeOf(engine.commit(tag))).toBe("device_lost");
        else await engine.commit(tag);
        await store.close();
        expect([lossStyle, fake.live]).toEqual([lossStyle, []]);
        await gpu.close();
      }
      expect(await fileNames(storage)).toEqual(["latest", "new.cairn", "old.cairn"]);
    }
  });

  test("refuses a run id that would not make good file names", async () => {
    for (const runId of ["", "../x", "A".repeat(32), RUN_ID + "0"]) {
      const error = await memoryEngine(undefined, { runId }).catch((cause: unknown) => cause);
      expect(error).toBeInstanceOf(TypeError);
    }
  });
});

/** Operations of a commit before those of the hint. */
async function countUntilHint(): Promise<number> {
  const storage = new FaultStorage(new MemoryStorage());
  const engine = await memoryEngine(storage);
  await engine.create("a");
  await engine.save({ state: {} });
  const before = storage.operations.length;
  await engine.commit("a");
  return storage.operations.findIndex(({ op }, index) => index > before && op === "makeDirectory") - before;
}
