import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import * as path from "node:path";
import type { Provenance } from "../../../src/container/format/manifest.ts";
import { writeContainer } from "../../../src/container/write/write_container.ts";
import { readCatalog } from "../../../src/checkpoint/engine/catalog.ts";
import { checkpointsIterator } from "../../../src/checkpoint/keep/evaluators/checkpoints_iterator.ts";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { findCheckpoint } from "../../../src/checkpoint/lazy_checkpoint.ts";
import { getCheckpoint, getCheckpoints } from "../../../src/checkpoint/keep/newest_checkpoint.ts";
import { MirrorEngine } from "../../../src/checkpoint/compose/mirror_engine.ts";
import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import { retain } from "../../../src/checkpoint/keep/retention/retention.ts";
import { saveCheckpoint } from "../../../src/checkpoint/compat/save_checkpoint.ts";
import { Snapshot } from "../../../src/checkpoint/snapshot.ts";
import { TieredEngine } from "../../../src/checkpoint/compose/tiered_engine.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import type { Storage } from "../../../src/storage/storage.ts";
import { writeFile } from "../../storage/storage_contract.ts";
import { memoryEngine, OTHER_RUN_ID, RUN_ID, saveState } from "../fixtures.ts";
import { inFolder } from "../../helpers/in_folder.ts";

/** Tags, oldest first. */
async function tagsOf(storage: Storage): Promise<string[]> {
  const { checkpoints } = await readCatalog(await memoryEngine(storage));
  return checkpoints.map(({ tag }) => tag);
}

async function ordersOf(storage: Storage): Promise<(number | undefined)[]> {
  const { checkpoints } = await readCatalog(await memoryEngine(storage));
  return checkpoints.map(({ order }) => order);
}

/** A checkpoint as somebody else's program may write it. */
async function writeForeign(storage: Storage, name: string, provenance: Provenance): Promise<void> {
  const fileId = new Uint8Array(16).fill(name.charCodeAt(0));
  const manifest = { kind: "checkpoint", state: {}, metrics: {}, provenance, user: {} } as const;
  await writeFile(storage, `${name}.cairn`, await writeContainer({ tensors: [], manifest, fileId }));
}

async function recovered(storage: Storage): Promise<string | undefined> {
  const { checkpoint } = await recover(await memoryEngine(storage));
  await checkpoint?.close();
  return checkpoint?.tag;
}

describe("the newest checkpoint", () => {
  test("is the one committed last after the run went back to an earlier step", async () => {
    const storage = new MemoryStorage();
    const snapshot = new Snapshot(await memoryEngine(storage), {});
    for (const step of [100, 200, 300]) await (await snapshot.save(step)).wait();
    await snapshot.restore(100);
    await (await snapshot.save(150)).wait();
    const engine = await memoryEngine(storage);
    expect(await getCheckpoint(engine)).toBe("memory:150.cairn");
    expect((await findCheckpoint(engine))?.path).toBe("memory:150.cairn");
    expect(await recovered(storage)).toBe("150");
    const latest: string[] = [];
    for await (const each of checkpointsIterator(engine, { pollMs: 1, timeoutMs: 0 })) latest.push(each);
    expect(latest).toEqual(["memory:150.cairn"]);
    // In order of the steps all the same.
    expect(await getCheckpoints(engine)).toEqual(
      [100, 150, 200, 300].map((step) => `memory:${step}.cairn`),
    );
    await snapshot.close();
  });

  test("is what keep.last counts from", async () => {
    const engine = await memoryEngine();
    const snapshot = new Snapshot(engine, {}, { keep: { last: 2 } });
    for (const step of [100, 200]) await (await snapshot.save(step)).wait();
    await snapshot.restore(100);
    for (const step of [120, 150]) await (await snapshot.save(step)).wait();
    // The one that the run went on from stays besides.
    expect(await engine.list()).toEqual(["100", "120", "150"]);
    await snapshot.close();
  });

  test("is of a new run in a directory that has an older and longer one", async () => {
    const storage = new MemoryStorage();
    for (const step of [1000, 2000]) await saveState(await memoryEngine(storage), step, { step }, { step });
    await saveState(await memoryEngine(storage, { runId: OTHER_RUN_ID }), 1, { step: 1 }, { step: 1 });
    expect(await recovered(storage)).toBe("1");
    expect(await ordersOf(storage)).toEqual([1, 2, 3]);
  });

  test("is the same one when the clock was set back, or was ahead once", async () => {
    const storage = new MemoryStorage();
    const days = [20, 400, 3, 4];
    for (const [index, day] of days.entries()) {
      const now = (): number => day * 86_400_000;
      await saveState(await memoryEngine(storage, { now }), `z${9 - index}`, { day });
    }
    expect(await tagsOf(storage)).toEqual(["z9", "z8", "z7", "z6"]);
  });

  test("is the same one in a copy of the directory, with other file times and other names", async () => {
    await inFolder(async (directory) => {
      const engine = await FileEngine.open(`${directory}/a`);
      for (const step of [3, 1, 2]) {
        await engine.create(`step-${step}`);
        await engine.save({ state: { step }, provenance: { step } });
        await engine.commit(`step-${step}`);
      }
      fs.mkdirSync(`${directory}/b`);
      for (const [name, copy, seconds] of [["step-3", "a", 30], ["step-1", "b", 20], ["step-2", "0", 10]]) {
        fs.copyFileSync(`${directory}/a/${name}.cairn`, `${directory}/b/${copy}.cairn`);
        fs.utimesSync(`${directory}/b/${copy}.cairn`, seconds as number, seconds as number);
      }
      expect(await getCheckpoint(`${directory}/b`)).toBe(path.join(directory, "b", "0.cairn"));
      await saveCheckpoint(`${directory}/b`, { state: {} }, { tag: "first" });
      expect(await getCheckpoint(`${directory}/b`)).toBe(path.join(directory, "b", "first.cairn"));
    });
  });

  test("of several with one order is the later one, then the one with the greater name", async () => {
    const storage = new MemoryStorage();
    await writeForeign(storage, "a", { order: 2, createdAt: "2026-01-01T12:00:00.000Z" });
    // An hour before, as the offset says.
    await writeForeign(storage, "b", { order: 2, createdAt: "2026-01-01T13:00:00.000+02:00" });
    await writeForeign(storage, "d", { order: 2, createdAt: "2026-01-01T12:00:00.000Z" });
    await writeForeign(storage, "c", { order: 2 });
    await writeForeign(storage, "e", { order: 1, createdAt: "2027-01-01T12:00:00.000Z" });
    expect(await tagsOf(storage)).toEqual(["e", "c", "b", "a", "d"]);
  });

  test("is one that has an order, where others have none", async () => {
    const storage = new MemoryStorage();
    await writeForeign(storage, "old", { step: 900, createdAt: "2026-06-01T00:00:00.000Z" });
    await writeForeign(storage, "older", { step: 950, createdAt: "2026-05-01T00:00:00.000Z" });
    expect(await tagsOf(storage)).toEqual(["older", "old"]);
    await saveState(await memoryEngine(storage), 1, { step: 1 }, { step: 1 });
    expect(await tagsOf(storage)).toEqual(["older", "old", "1"]);
    expect(await ordersOf(storage)).toEqual([undefined, undefined, 1]);
  });

  test("counts on above an order that somebody else's program wrote", async () => {
    const storage = new MemoryStorage();
    const engine = await memoryEngine(storage);
    await saveState(engine, 1, { step: 1 });
    await writeForeign(storage, "foreign", { order: 41 });
    await saveState(engine, 2, { step: 2 });
    expect(await ordersOf(storage)).toEqual([1, 41, 42]);
  });

  test("is an overwritten one, which gets a new order", async () => {
    const storage = new MemoryStorage();
    const engine = await memoryEngine(storage);
    await saveState(engine, "last", { step: 1 });
    await saveState(engine, "other", { step: 2 });
    await saveState(engine, "last", { step: 3 }, { overwrite: true });
    await saveState(engine, "next", { step: 4 });
    expect(await ordersOf(storage)).toEqual([2, 3, 4]);
    expect(await tagsOf(storage)).toEqual(["other", "last", "next"]);
  });

  test("is the same in checkpoints of several files, in tiers and in mirrors", async () => {
    const storages = [new MemoryStorage(), new MemoryStorage(), new MemoryStorage(), new MemoryStorage()];
    const [a, b, c, d] = await Promise.all(
      storages.map((storage) => memoryEngine(storage, { components: storage === storages[3] })),
    ) as [FileEngine, FileEngine, FileEngine, FileEngine];
    for (const engine of [new TieredEngine([{ engine: a }]), new MirrorEngine([b, c]), d]) {
      for (const tag of ["300", "100", "200"]) {
        await engine.create(tag);
        await engine.save({ state: { tag } });
        await engine.commit(tag);
      }
      expect(await getCheckpoint(engine)).toBe("memory:200.cairn");
    }
    for (const storage of storages) expect(await ordersOf(storage)).toEqual([1, 2, 3]);
  });

  test("of two processes that save at once has an order of its own or the later moment", async () => {
    const storage = new MemoryStorage();
    let nowMs = Date.UTC(2026, 0, 1);
    const now = (): number => nowMs += 1000;
    const [one, other] = [
      await memoryEngine(storage, { now }),
      await memoryEngine(storage, { now, runId: OTHER_RUN_ID }),
    ];
    await one.create("z");
    await other.create("a");
    await one.save({ state: {} });
    await other.save({ state: {} });
    await one.commit("z");
    await other.commit("a");
    expect(await tagsOf(storage)).toEqual(["z", "a"]);
    await saveState(one, "0", { step: 0 });
    expect(await tagsOf(storage)).toEqual(["z", "a", "0"]);
  });
});

describe("provenance of a checkpoint", () => {
  test("says which checkpoint the run went on from: none at first, then the one that was restored", async () => {
    const storage = new MemoryStorage();
    const snapshot = new Snapshot(await memoryEngine(storage), {});
    for (const step of [1, 2]) await (await snapshot.save(step)).wait();
    await snapshot.restore(1);
    for (const step of [3, 4]) await (await snapshot.save(step)).wait();
    await snapshot.restore(3);
    await (await snapshot.save(5)).wait();
    await snapshot.close();
    const { checkpoints } = await readCatalog(await memoryEngine(storage));
    const tagOf = new Map(checkpoints.map(({ fileId, tag }) => [fileId, tag]));
    expect(checkpoints.map(({ tag, parent }) => [tag, tagOf.get(parent ?? "")])).toEqual([
      ["1", undefined],
      ["2", undefined],
      ["3", "1"],
      ["4", "1"],
      ["5", "3"],
    ]);
  });

  test("says who saved it: an automatic save, or a user", async () => {
    const storage = new MemoryStorage();
    const engine = await memoryEngine(storage);
    const kept = new Snapshot(engine, {}, { keep: { last: 9 } });
    await (await kept.save("kept")).wait();
    await (await new Snapshot(engine, {}).save("plain")).wait();
    const loaded = await engine.load("kept");
    await saveCheckpoint(engine, { state: {}, provenance: loaded.provenance }, { tag: "asked" });
    const tiers = new TieredEngine([{ engine, keep: { last: 9 } }]);
    await (await new Snapshot(tiers, {}).save("tier")).wait();
    await saveCheckpoint(tiers, { state: {} }, { tag: "asked-of-tier" });
    const evicting = await memoryEngine(storage, { onDiskFull: "evictOldest" });
    await (await new Snapshot(evicting, {}).save("evictable")).wait();
    const { checkpoints } = await readCatalog(engine);
    expect(checkpoints.map(({ tag, savedBy, savedTag }) => [tag, savedBy, savedTag === tag])).toEqual([
      ["kept", "auto", true],
      ["plain", "user", true],
      ["asked", "user", true],
      ["tier", "auto", true],
      ["asked-of-tier", "user", true],
      ["evictable", "auto", true],
    ]);
  });
});

describe("what retention touches", () => {
  test("is neither a save that a user asked for nor a copy, and neither of them is counted", async () => {
    const storage = new MemoryStorage();
    const engine = await memoryEngine(storage);
    for (const step of [1, 2]) await saveState(engine, step, { step });
    await saveCheckpoint(engine, { state: {} }, { tag: "before-lr-drop" });
    const content = await contentOf(storage, "1.cairn");
    await writeFile(storage, "my-copy.cairn", content);
    for (const step of [3, 4]) await saveState(engine, step, { step });
    const { deleted, decisions, warnings } = await retain(engine, "4", { last: 2 });
    expect(deleted).toEqual(["1", "2"]);
    expect(warnings).toEqual([]);
    expect(await engine.list()).toEqual(["3", "4", "before-lr-drop", "my-copy"]);
    const reasons = new Map(decisions.map(({ tag, reason }) => [tag, reason]));
    expect(reasons.get("before-lr-drop")).toBe("it was saved because somebody asked for it");
    expect(reasons.get("my-copy")).toBe('it is a copy of "1"');
  });

  test("is no file from before that mark existed, and it warns of those once", async () => {
    const storage = new MemoryStorage();
    for (const tag of ["a", "b"]) await writeForeign(storage, tag, { runId: RUN_ID, tag });
    const engine = await memoryEngine(storage);
    for (const step of [1, 2]) await saveState(engine, step, { step });
    const first = await retain(engine, "2", { last: 1 });
    expect(first.deleted).toEqual(["1"]);
    expect(first.warnings.map(({ message }) => message)).toEqual([
      'Retention leaves "memory:a.cairn" and 1 more alone: a file of an earlier version does not say whether it was saved ' +
      "automatically; delete it by hand when nobody needs it any more",
    ]);
    expect((await retain(engine, "2", { last: 1 })).warnings).toEqual([]);
    expect(await engine.list()).toEqual(["2", "a", "b"]);
  });

  test("is not what the best by a metric is, but the best of the automatic ones", async () => {
    const storage = new MemoryStorage();
    const engine = await memoryEngine(storage);
    for (const [tag, loss] of [["1", 0.5], ["2", 0.7], ["3", 0.9]] as const) {
      await saveState(engine, tag, { loss }, { metrics: { loss } });
    }
    await saveCheckpoint(engine, { state: {}, metrics: { loss: 0.1 } }, { tag: "mine" });
    const best = { metric: "loss", direction: "min" } as const;
    expect((await retain(engine, "3", { last: 1, best })).deleted).toEqual(["2"]);
  });

  test("is by the order of commits: after going back, the abandoned line goes first", async () => {
    const engine = await memoryEngine();
    for (const step of [100, 200, 300, 150]) await saveState(engine, step, { step }, { step });
    expect((await retain(engine, "150", { last: 2 })).deleted).toEqual(["100", "200"]);
  });
});

async function contentOf(storage: Storage, file: string): Promise<Uint8Array> {
  const reader = await storage.openRead(file);
  const content = new Uint8Array(reader.byteLength);
  await reader.read(0, content);
  await reader.close();
  return content;
}
