import { describe, expect, test } from "bun:test";
import type { DiskShortage } from "../../../src/checkpoint/engine/disk_space.ts";
import { FileEngine, type FileEngineOptions } from "../../../src/checkpoint/engine/file_engine.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { bytes, writeFile } from "../../storage/storage_contract.ts";
import {
  codeOf,
  counterRandom,
  errorOf,
  FaultStorage,
  fileNames,
  memoryEngine,
  OTHER_RUN_ID,
} from "../fixtures.ts";

/** Bytes that do not shrink. */
const BALLAST_BYTES = 40_000;
const CAPACITY = 130_000;

function ballast(): { readonly ballast: Uint8Array } {
  return { ballast: counterRandom(9)(BALLAST_BYTES) };
}

async function tightEngine(
  options: FileEngineOptions = {},
  storage: MemoryStorage = new MemoryStorage({ capacityBytes: CAPACITY }),
): Promise<FileEngine> {
  return await memoryEngine(storage, { codec: "raw", ...options });
}

async function save(engine: FileEngine, step: number): Promise<void> {
  await engine.create(step);
  try {
    await engine.save({ state: ballast(), provenance: { step } });
    await engine.commit(step);
  } finally {
    await engine.abort();
  }
}

describe("space on the disk", () => {
  test("is checked before anything is written, and the error says how much is free and how much is needed", async () => {
    const inner = new MemoryStorage({ capacityBytes: CAPACITY });
    const storage = new FaultStorage(inner);
    const engine = await memoryEngine(storage, { codec: "raw" });
    await save(engine, 1);
    await save(engine, 2);
    const before = storage.operations.length;
    const error = await errorOf(save(engine, 3));
    expect(error.code).toBe("disk_full");
    expect(error.message).toMatch(
      /^Cannot save "3": it may need \d+ bytes and "memory:" has \d+ free; free some space/,
    );
    expect(storage.operations.slice(before).map(({ op }) => op)).not.toContain("createExclusive");
    expect(await fileNames(inner)).toEqual(["1.cairn", "2.cairn", "latest"]);
    await engine.remove("1");
    await save(engine, 3);
    expect(await engine.list()).toEqual(["2", "3"]);
  });

  test("the check is strict enough: a save that passes it fits", async () => {
    for (let capacityBytes = 45_000; capacityBytes < 70_000; capacityBytes += 1_777) {
      const engine = await tightEngine({}, new MemoryStorage({ capacityBytes }));
      const error = await save(engine, 1).then(() => undefined, (cause: unknown) => cause);
      if (error !== undefined) expect(String(error)).toContain("it may need");
    }
  });

  test("a storage that does not know its free space holds up no save", async () => {
    const storage = new FaultStorage(new MemoryStorage());
    const engine = await memoryEngine(storage);
    await engine.create(1);
    storage.failAt(storage.operations.length, "EIO");
    await engine.save({ state: {} });
    expect(storage.hasFired).toBe(true);
    await engine.commit(1);
  });

  test("an invalid number of free bytes holds up no save, and 0 means full", async () => {
    const storage = new MemoryStorage();
    for (const said of [NaN, Infinity, -1, null, "none", undefined]) {
      storage.freeBytes = () => Promise.resolve(said as number);
      for (const onDiskFull of ["error", "pause", "evictOldest"] as const) {
        await save(await memoryEngine(storage, { onDiskFull }), 1);
        await storage.remove("1.cairn");
      }
    }
    storage.freeBytes = () => {
      throw new TypeError("not a function");
    };
    await save(await memoryEngine(storage), 1);
    storage.freeBytes = () => Promise.resolve(0);
    expect((await errorOf(save(await memoryEngine(storage), 2))).code).toBe("disk_full");
  });

  test("pause waits until space is freed, says so once, and stops on an abort", async () => {
    const shortages: DiskShortage[] = [];
    const storage = new MemoryStorage({ capacityBytes: CAPACITY });
    const sleeps: number[] = [];
    let onSleep = async (): Promise<void> => {};
    const engine = await tightEngine({
      onDiskFull: "pause",
      diskPollMs: 5_000,
      onDiskShortage: (shortage) => shortages.push(shortage),
      clock: {
        now: () => 0,
        sleep: async (ms) => {
          sleeps.push(ms);
          await onSleep();
        },
      },
    }, storage);
    await save(engine, 1);
    await save(engine, 2);
    onSleep = async () => {
      if (sleeps.length === 3) await storage.remove("1.cairn");
    };
    await save(engine, 3);
    expect(sleeps).toEqual([5_000, 5_000, 5_000]);
    expect(await engine.list()).toEqual(["2", "3"]);
    expect(shortages).toHaveLength(1);
    expect(shortages[0]?.path).toBe("memory:");
    expect(shortages[0]?.neededBytes).toBeGreaterThan(shortages[0]?.freeBytes ?? Infinity);
    const controller = new AbortController();
    const reason = new Error("enough");
    onSleep = () => Promise.resolve(controller.abort(reason));
    await engine.create(4);
    const saving = engine.save({ state: ballast() }, undefined, { signal: controller.signal });
    expect(await saving.catch((error: unknown) => error)).toBe(reason);
    expect(await fileNames(storage)).toEqual(["2.cairn", "3.cairn", "latest"]);
  });

  test("evictOldest deletes the oldest of this run, and never the newest, the one resumed from, or another run's", async () => {
    const storage = new MemoryStorage({ capacityBytes: CAPACITY });
    await save(await tightEngine({ runId: OTHER_RUN_ID }, storage), 1);
    const engine = await tightEngine({ onDiskFull: "evictOldest" }, storage);
    await save(engine, 2);
    const error = await errorOf(save(engine, 3));
    expect(error.code).toBe("disk_full");
    expect(await engine.list()).toEqual(["1", "2"]);
    await storage.remove("1.cairn");
    await save(engine, 3);
    await save(engine, 4);
    expect(await engine.list()).toEqual(["3", "4"]);
    engine.continueRun(engine.runId, "3");
    expect((await errorOf(save(engine, 5))).message).not.toContain("had been deleted");
    expect(await engine.list()).toEqual(["3", "4"]);
  });

  test("evictOldest leaves alone what is leased and what the caller protects", async () => {
    const protectedTags = new Set<string>();
    const storage = new MemoryStorage({ capacityBytes: CAPACITY + 50_000 });
    const options: FileEngineOptions = {
      onDiskFull: "evictOldest",
      mayEvict: (tag) => !protectedTags.has(tag),
    };
    const engine = await tightEngine(options, storage);
    for (const step of [1, 2, 3]) await save(engine, step);
    await storage.makeDirectory("leases");
    await writeFile(storage, "leases/1@abc.lease", bytes("{}"));
    await save(engine, 4);
    expect(await engine.list()).toEqual(["1", "3", "4"]);
    protectedTags.add("3");
    expect(await codeOf(save(engine, 5))).toBe("disk_full");
    expect(await engine.list()).toEqual(["1", "3", "4"]);
  });
});
