import { describe, expect, test } from "bun:test";
import { readCatalog } from "../../../src/checkpoint/engine/catalog.ts";
import type { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { getCheckpoint } from "../../../src/checkpoint/keep/newest_checkpoint.ts";
import { retain } from "../../../src/checkpoint/keep/retention/retention.ts";
import { Snapshot } from "../../../src/checkpoint/snapshot.ts";
import { writeContainer } from "../../../src/container/write/write_container.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import type { Storage } from "../../../src/storage/storage.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { frozenTensors } from "../file/parts/frozen_tensors.ts";
import { HookedStorage } from "../../helpers/hooked_storage.ts";
import type { StorageCall } from "../../helpers/wrapped_storage.ts";
import { writeFile } from "../../storage/storage_contract.ts";
import { counterRandom, memoryEngine, OTHER_RUN_ID, RUN_ID, saveState } from "../fixtures.ts";

interface Counted {
  readonly storage: Storage;
  readonly engine: FileEngine;
  /** What `work` asks of the storage. */
  callsOf(work: () => Promise<unknown>): Promise<StorageCall[]>;
}

/** A directory with so many checkpoints of another run, and an engine that looked at it once. */
async function beside(count: number): Promise<Counted> {
  const storage = new MemoryStorage();
  const random = counterRandom(7);
  for (let index = 0; index < count; index++) {
    const tag = `other-${index}`;
    const provenance = { tag, runId: OTHER_RUN_ID, order: index + 1, savedBy: "auto" } as const;
    const manifest = { kind: "checkpoint", state: {}, metrics: {}, provenance, user: {} } as const;
    await writeFile(
      storage,
      `${tag}.cairn`,
      await writeContainer({ tensors: [], manifest, fileId: random(16) }),
    );
  }
  const calls: StorageCall[] = [];
  const counted = new HookedStorage(storage, { before: (call) => void calls.push(call) });
  const engine = await memoryEngine(counted, { verifyEvery: 0 });
  const callsOf = async (work: () => Promise<unknown>): Promise<StorageCall[]> => {
    calls.length = 0;
    await work();
    return [...calls];
  };
  return { storage, engine, callsOf };
}

function openedOf(calls: readonly StorageCall[]): string[] {
  const opened = calls.filter(({ op, path }) => op === "openRead" && path.endsWith(".cairn"));
  return [...new Set(opened.map(({ path }) => path))];
}

function listingsOf(calls: readonly StorageCall[]): number {
  return calls.filter(({ op, path }) => op === "list" && path === "").length;
}

describe("a save beside many checkpoints", () => {
  test("asks as much of the storage beside 2,000 as beside 10: one listing, and no other file is opened", async () => {
    const costs: number[] = [];
    for (const count of [10, 100, 2000]) {
      const { engine, callsOf } = await beside(count);
      const snapshot = new Snapshot(engine, {}, { keep: { last: 2 } });
      const save = async (step: number): Promise<void> => void await (await snapshot.save(step)).wait();
      for (const step of [1, 2, 3]) await save(step);
      const calls = await callsOf(() => save(4));
      expect(listingsOf(calls)).toBe(1);
      // The one that is deleted is looked at, as another file may have its name by now.
      expect(openedOf(calls)).toEqual(["2.cairn"]);
      costs.push(calls.length);
      expect(await engine.list()).toHaveLength(count + 2);
      await snapshot.close();
    }
    expect(new Set(costs).size).toBe(1);
    expect(costs[0]).toBeLessThan(60);
  });

  test("of several files opens no other checkpoint's files either", async () => {
    const opened: number[] = [];
    for (const count of [5, 40]) {
      const storage = new MemoryStorage();
      const calls: StorageCall[] = [];
      const hooked = new HookedStorage(storage, { before: (call) => void calls.push(call) });
      const engine = await memoryEngine(hooked, { components: true, verifyEvery: 0 });
      const save = async (tag: string): Promise<void> => {
        await engine.create(tag);
        const tensors = { "model.w": HostTensor.from([1]), "optimizer.w": HostTensor.from([2]) };
        await engine.save(frozenTensors(tensors, { provenance: { savedBy: "auto" } }));
        await engine.commit(tag);
      };
      for (let index = 0; index < count; index++) await save(`old-${index}`);
      const policy = { last: count };
      for (const tag of ["a", "b"]) {
        await save(tag);
        await retain(engine, tag, policy);
      }
      const before = calls.length;
      await save("c");
      expect((await retain(engine, "c", policy)).deleted).toEqual(["old-2"]);
      opened.push(openedOf(calls.slice(before)).length);
      expect((await engine.list()).length).toBe(count);
    }
    expect(opened[1]).toBe(opened[0] ?? 0);
  });

  test("that frees space on a full disk makes no extra calls for each file that it deletes", async () => {
    const costs: number[] = [];
    for (const count of [10, 300]) {
      const { storage, callsOf } = await beside(count);
      let isFull = false;
      const calls: StorageCall[] = [];
      const hooked = new HookedStorage(storage, { before: (call) => void calls.push(call) });
      let deleted = 0;
      hooked.freeBytes = () => Promise.resolve(isFull && deleted++ < 2 ? 0 : 1e12);
      const engine = await memoryEngine(hooked, { onDiskFull: "evictOldest", verifyEvery: 0 });
      for (const step of [1, 2, 3, 4]) await saveState(engine, step, { step });
      isFull = true;
      const before = calls.length;
      await saveState(engine, 5, { step: 5 });
      const during = calls.slice(before);
      expect(listingsOf(during)).toBe(1);
      expect(openedOf(during).sort()).toEqual(["1.cairn", "2.cairn"]);
      costs.push(during.length);
      await callsOf(() => Promise.resolve());
    }
    expect(new Set(costs).size).toBe(1);
  });

  test("opens what is new by name, once", async () => {
    const { storage, engine, callsOf } = await beside(20);
    await saveState(engine, 1, { step: 1 });
    await saveState(await memoryEngine(storage, { runId: OTHER_RUN_ID }), "new", { step: 2 });
    const seen = await callsOf(() => saveState(engine, 2, { step: 2 }));
    expect(openedOf(seen)).toEqual(["new.cairn"]);
    expect(openedOf(await callsOf(() => saveState(engine, 3, { step: 3 })))).toEqual([]);
    const { checkpoints } = await readCatalog(engine);
    expect(checkpoints.slice(-4).map(({ tag, order }) => [tag, order])).toEqual([
      ["1", 21],
      ["new", 22],
      ["2", 23],
      ["3", 24],
    ]);
  });

  test("sees that a known name was overwritten, where the hint names it", async () => {
    const { storage, engine } = await beside(3);
    await saveState(engine, 1, { step: 1 });
    const other = await memoryEngine(storage, { runId: OTHER_RUN_ID });
    for (let times = 0; times < 3; times++) await saveState(other, "other-0", {}, { overwrite: true });
    await saveState(engine, 2, { step: 2 });
    expect(await getCheckpoint(engine)).toBe("memory:2.cairn");
  });
});

describe("a file that was replaced under its name", () => {
  test("is noticed when it is about to be removed, and stays", async () => {
    const { storage, engine } = await beside(0);
    for (const step of [1, 2]) await saveState(engine, step, { step });
    const another = await memoryEngine(new MemoryStorage(), { random: counterRandom(99) });
    await saveState(another, 1, { step: 100 });
    await replace(storage, "1.cairn", await contentOf(another.storage, "1.cairn"));
    // The engine still knows the first one, which is of its run and automatic.
    const { deleted, warnings } = await retain(engine, "2", { last: 1 });
    expect(deleted).toEqual([]);
    expect(warnings).toEqual([]);
    const checkpoint = await engine.load("1");
    expect(await checkpoint.state()).toEqual({ step: 100 });
    await checkpoint.close();
  });

  test("at the last moment, between the look and the removal, is put back", async () => {
    const inner = new MemoryStorage();
    const replacement = await memoryEngine(new MemoryStorage(), { random: counterRandom(99) });
    await saveState(replacement, 1, { step: 100 });
    const content = await contentOf(replacement.storage, "1.cairn");
    let isArmed = false;
    const hooked = new HookedStorage(inner, {
      before: async ({ op, path }) => {
        if (!isArmed || op !== "move" || !path.startsWith(".tmp-")) return;
        isArmed = false;
        await replace(inner, "1.cairn", content);
      },
    });
    const engine = await memoryEngine(hooked);
    for (const step of [1, 2]) await saveState(engine, step, { step });
    isArmed = true;
    expect((await retain(engine, "2", { last: 1 })).deleted).toEqual([]);
    expect(isArmed).toBe(false);
    const checkpoint = await engine.load("1");
    expect(await checkpoint.state()).toEqual({ step: 100 });
    await checkpoint.close();
    expect((await inner.list("")).map(({ name }) => name)).toEqual(["1.cairn", "2.cairn", "latest"]);
  });
});

describe("a look at a directory", () => {
  test("opens each file once, and again when it is another one", async () => {
    const { storage, engine, callsOf } = await beside(30);
    expect(openedOf(await callsOf(() => readCatalog(engine)))).toHaveLength(30);
    expect(openedOf(await callsOf(() => getCheckpoint(engine)))).toHaveLength(0);
    await replace(storage, "other-7.cairn", await contentOf(storage, "other-8.cairn"));
    expect(openedOf(await callsOf(() => getCheckpoint(engine)))).toEqual(["other-7.cairn"]);
    await storage.remove("other-3.cairn");
    expect((await readCatalog(engine)).checkpoints).toHaveLength(29);
  });

  test("tries a file again that could not be opened, as it may have been a copy that was not complete", async () => {
    const { storage, engine } = await beside(2);
    await saveState(engine, 1, { step: 1 });
    const content = await contentOf(storage, "1.cairn");
    await writeFile(storage, "copy.cairn", content.subarray(0, 100));
    await saveState(engine, 2, { step: 2 });
    expect((await readCatalog(engine)).unreadable.map(({ tag }) => tag)).toEqual(["copy"]);
    await replace(storage, "copy.cairn", content);
    await saveState(engine, 3, { step: 3 });
    expect((await readCatalog(engine, { knowing: "3" })).unreadable).toEqual([]);
  });

  test("is the same for all engines of a process that write to one directory", async () => {
    const storage = new MemoryStorage();
    const [one, other] = [
      await memoryEngine(storage),
      await memoryEngine(storage, { runId: OTHER_RUN_ID }),
    ];
    await one.create("a");
    await saveState(other, "b", { step: 1 });
    await one.save({ state: {}, provenance: { runId: RUN_ID } });
    await one.commit("a");
    const { checkpoints } = await readCatalog(one);
    expect(checkpoints.map(({ tag, order }) => [tag, order])).toEqual([["b", 1], ["a", 2]]);
  });
});

async function contentOf(storage: Storage, file: string): Promise<Uint8Array> {
  const reader = await storage.openRead(file);
  const content = new Uint8Array(reader.byteLength);
  await reader.read(0, content);
  await reader.close();
  return content;
}

async function replace(storage: Storage, file: string, content: Uint8Array): Promise<void> {
  await storage.remove(file);
  await writeFile(storage, file, content);
}
