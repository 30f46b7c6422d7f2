import { describe, expect, test } from "bun:test";
import type { FileEngine } from "../../src/checkpoint/engine/file_engine.ts";
import { recover, type RecoverOptions } from "../../src/checkpoint/keep/recovery.ts";
import { retain } from "../../src/checkpoint/keep/retention/retention.ts";
import { quarantine } from "../../src/checkpoint/keep/quarantine.ts";
import { CairnError } from "../../src/base/errors.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import type { Storage } from "../../src/storage/storage.ts";
import { bytes, writeFile } from "../storage/storage_contract.ts";
import { atEveryOperation, FaultStorage, fileNames, memoryEngine, saveState } from "./fixtures.ts";

/** Three checkpoints with data of their own. */
async function threeCheckpoints(storage: Storage = new MemoryStorage()): Promise<FileEngine> {
  const engine = await memoryEngine(storage, { codec: "raw" });
  for (const step of [1, 2, 3]) {
    await engine.create(step);
    await engine.save({
      state: { step, data: new Float32Array(64).fill(step) },
      provenance: { savedBy: "auto" },
    });
    await engine.commit(step);
  }
  return engine;
}

async function contentOf(storage: Storage, path: string): Promise<Uint8Array> {
  const reader = await storage.openRead(path);
  const content = new Uint8Array(reader.byteLength);
  await reader.read(0, content);
  await reader.close();
  return content;
}

/** Flips a bit of the data, which opening does not read. */
async function damage(storage: Storage, tag: string): Promise<void> {
  const content = await contentOf(storage, `${tag}.cairn`);
  content[4096] = (content[4096] ?? 0) ^ 1;
  await storage.remove(`${tag}.cairn`);
  await writeFile(storage, `${tag}.cairn`, content);
}

/** Tag of what is found, and tags with codes of what was skipped. `confirms`: whether it is loaded after that. */
async function recovered(engine: FileEngine, options: RecoverOptions, confirms = false): Promise<string[]> {
  const { checkpoint, skipped, confirm } = await recover(engine, options);
  await checkpoint?.close();
  if (confirms) await confirm();
  return [checkpoint?.tag ?? "none", ...skipped.map(({ tag, error }) => `${tag} ${error.code}`)];
}

describe("recover with maxFailures", () => {
  test("skips a checkpoint that ended the process so many times, and then the next", async () => {
    const engine = await threeCheckpoints();
    const taken: string[] = [];
    // Nobody confirms: each time, the process died while it loaded.
    for (let life = 0; life < 6; life++) taken.push((await recovered(engine, { maxFailures: 2 })).join(" "));
    expect(taken).toEqual([
      "3",
      "3",
      "2 3 limit_exceeded",
      "2 3 limit_exceeded",
      "1 3 limit_exceeded 2 limit_exceeded",
      "1 3 limit_exceeded 2 limit_exceeded",
    ]);
    // When all of them did, the newest is better than nothing.
    expect(await recovered(engine, { maxFailures: 2 })).toEqual(["3"]);
  });

  test("forgets the failures of one that was loaded after all", async () => {
    const engine = await threeCheckpoints();
    for (let life = 0; life < 5; life++) {
      expect(await recovered(engine, { maxFailures: 2 }, life % 2 === 1)).toEqual(["3"]);
    }
  });

  test("says why it skipped one", async () => {
    const engine = await threeCheckpoints();
    await recovered(engine, { maxFailures: 1 });
    const { skipped, checkpoint } = await recover(engine, { maxFailures: 1 });
    await checkpoint?.close();
    expect(skipped.map(({ reason }) => reason)).toEqual([
      'Checkpoint "3" (memory:3.cairn) is passed over: it failed to load 1 times or more; ' +
      "load it by its tag to find out why",
    ]);
  });

  test("starts again for a file that was overwritten, and does not count an abort", async () => {
    const engine = await threeCheckpoints();
    await recovered(engine, { maxFailures: 1 });
    await saveState(engine, 3, { step: 3 }, { overwrite: true });
    expect(await recovered(engine, { maxFailures: 1 }, true)).toEqual(["3"]);
    const controller = new AbortController();
    const reason = new Error("enough");
    controller.abort(reason);
    await expect(recover(engine, { maxFailures: 1, signal: controller.signal })).rejects.toBe(reason);
    expect(await recovered(engine, { maxFailures: 1 })).toEqual(["3"]);
  });

  test("counts damage too, does not read a damaged file again, and recovers where nothing can be written", async () => {
    const inner = new MemoryStorage();
    const engine = await threeCheckpoints(inner);
    await damage(inner, "3");
    expect(await recovered(engine, { maxFailures: 1 }, true)).toEqual(["2", "3 checksum_mismatch"]);
    expect(await recovered(engine, { maxFailures: 1 }, true)).toEqual(["2", "3 limit_exceeded"]);
    const storage = new FaultStorage(inner);
    storage.createExclusive = () => Promise.reject(new CairnError("storage_failed", "read-only"));
    expect(await recovered(await memoryEngine(storage), { maxFailures: 5 })).toEqual([
      "2",
      "3 checksum_mismatch",
    ]);
  });

  test("writes nothing unless it is asked to, and retention takes the count along", async () => {
    const engine = await threeCheckpoints();
    await recovered(engine, {});
    expect(await engine.storage.list("failed_loads")).toEqual([]);
    await recovered(engine, { maxFailures: 3 });
    expect((await engine.storage.list("failed_loads")).map(({ name }) => name)).toEqual(["3.json"]);
    await saveState(engine, 4, { step: 4 });
    await retain(engine, "4", { last: 1 });
    expect(await engine.storage.list("failed_loads")).toEqual([]);
    await expect(recover(engine, { maxFailures: 0 })).rejects.toThrow(RangeError);
  });

  test("a crash at any moment costs no checkpoint, and counts an attempt at most once", async () => {
    const inner = new MemoryStorage();
    await threeCheckpoints(inner);
    const points = await atEveryOperation(async (at) => {
      const storage = new FaultStorage(inner);
      storage.crashAt(at);
      await recover(await memoryEngine(storage), { maxFailures: 1000 }).then(
        ({ checkpoint }) => checkpoint?.close(),
        () => {},
      );
      expect(await recovered(await memoryEngine(inner), { maxFailures: 1000 }, true)).toEqual(["3"]);
      return storage;
    });
    expect(points).toBeGreaterThan(10);
  });
});

describe("recover with quarantinesDamaged", () => {
  test("moves what is damaged for certain out of the way, and deletes nothing", async () => {
    const engine = await threeCheckpoints();
    await damage(engine.storage, "3");
    const broken = await contentOf(engine.storage, "3.cairn");
    await writeFile(engine.storage, "9.cairn", bytes("not a container"));
    await engine.storage.makeDirectory("8.cairn");
    const recovery = await recover(engine, { quarantinesDamaged: true });
    await recovery.checkpoint?.close();
    expect(recovery.checkpoint?.tag).toBe("2");
    expect(recovery.quarantined?.moved).toEqual([
      { tag: "9", path: "memory:damaged/9.cairn" },
      { tag: "3", path: "memory:damaged/3.cairn" },
    ]);
    expect(await fileNames(engine.storage)).toEqual(["1.cairn", "2.cairn", "8.cairn", "damaged", "latest"]);
    expect(await contentOf(engine.storage, "damaged/3.cairn")).toEqual(broken);
    expect(await recovered(engine, {})).toEqual(["2", "8 storage_failed"]);
  });

  test("keeps both when one of the same name was quarantined before", async () => {
    const engine = await threeCheckpoints();
    for (let round = 0; round < 2; round++) {
      await damage(engine.storage, "3");
      await (await recover(engine, { quarantinesDamaged: true })).checkpoint?.close();
      await engine.create(3);
      await engine.save({ state: { data: new Float32Array(64) } });
      await engine.commit(3);
    }
    expect((await engine.storage.list("damaged")).map(({ name }) => name)).toEqual(["3-v2.cairn", "3.cairn"]);
  });

  test("does not touch what cannot be read at the moment, or what is too new", async () => {
    const engine = await threeCheckpoints();
    for (const code of ["storage_failed", "unsupported", "limit_exceeded"] as const) {
      const error = new CairnError(code, "not now");
      const report = await quarantine(engine, [{ tag: "3", path: "", reason: "", error }]);
      expect([code, report.moved, await engine.list()]).toEqual([code, [], ["1", "2", "3"]]);
    }
  });

  test("gives back a file that is sound: a writer had just replaced the damaged one", async () => {
    const engine = await threeCheckpoints();
    const error = new CairnError("checksum_mismatch", "it was, when it was looked at");
    const report = await quarantine(engine, [{ tag: "3", path: "", reason: "", error }]);
    expect(report).toEqual({ moved: [], warnings: [] });
    expect(await recovered(engine, {})).toEqual(["3"]);
    const gone = await quarantine(engine, [{ tag: "7", path: "", reason: "", error }]);
    expect(gone).toEqual({ moved: [], warnings: [] });
  });

  test("a crash at any moment leaves the damaged file in one place or the other, and the sound ones alone", async () => {
    for (const takesEffect of [false, true]) {
      await atEveryOperation(async (at) => {
        const inner = new MemoryStorage();
        const engine = await threeCheckpoints(inner);
        await damage(inner, "3");
        const broken = await contentOf(inner, "3.cairn");
        const storage = new FaultStorage(inner);
        storage.crashAt(at, { takesEffect });
        await recover(await memoryEngine(storage), { quarantinesDamaged: true }).then(
          ({ checkpoint }) => checkpoint?.close(),
          () => {},
        );
        const places = await Promise.all(
          ["3.cairn", "damaged/3.cairn"].map((path) => contentOf(inner, path).catch(() => undefined)),
        );
        expect(places.filter((place) => place !== undefined)).toEqual([broken]);
        expect((await recovered(engine, {}))[0]).toBe("2");
        return storage;
      });
    }
  });
});
