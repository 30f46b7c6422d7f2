import { describe, expect, test } from "bun:test";
import { PARTS_DIRECTORY } from "../../../src/checkpoint/file/parts/part_files.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import type { Storage } from "../../../src/storage/storage.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { FaultStorage, fileNames, memoryEngine, OTHER_RUN_ID, saveState } from "../fixtures.ts";
import { codes, engineOf, filesIn, messages, saveAll, saveRank, STATE_OF_1, whenSent } from "./rank_saves.ts";

const EXCLUSIVE = { engine: { exclusive: true } };
const LOCK = ".lock-000000000001";

/** A storage that says that so many bytes are free. */
function withRoom(disk: Storage, freeBytes: number): FaultStorage {
  const storage = new FaultStorage(disk);
  storage.freeBytes = () => Promise.resolve(freeBytes);
  return storage;
}

function partsBegun({ operations }: FaultStorage): number {
  return operations.filter(({ op, path }) => op === "createExclusive" && path.startsWith(PARTS_DIRECTORY))
    .length;
}

describe("ranks of exclusive engines", () => {
  test("save under the one lock of the first rank, again and again", async () => {
    const storage = new MemoryStorage();
    const engines = await Promise.all([0, 1].map((rank) => engineOf(storage, rank, 0, { exclusive: true })));
    for (const tag of ["a", "b"]) {
      const results = await saveAll(storage, 2, (rank) => {
        const engine = engines[rank];
        return engine === undefined ? { tag } : { tag, engine };
      });
      expect(messages(results)).toEqual(["saved", "saved"]);
      expect(await fileNames(storage)).toContain(LOCK);
    }
    for (const engine of engines) await engine.cleanup();
    expect(await fileNames(storage)).not.toContain(LOCK);
  });

  test("write no part where the first rank has no lock, or somebody else has it", async () => {
    for (const isForeign of [false, true]) {
      const disk = new MemoryStorage();
      const foreign = await memoryEngine(disk, { exclusive: true, runId: OTHER_RUN_ID });
      if (isForeign) await foreign.create("theirs");
      const storage = new FaultStorage(disk);
      const results = await Promise.allSettled([
        saveRank(disk, 0, 2, { engine: { exclusive: false } }),
        saveRank(storage, 1, 2, EXCLUSIVE),
      ]);
      expect(codes(results)).toEqual(["locked", "locked"]);
      const found = isForeign ? "it is locked by process" : "nobody has locked it";
      expect(messages(results)[1]).toContain(`Cannot write into "memory:": ${found}`);
      expect(messages(results)[0]).toContain("open the engines of all ranks with the same option exclusive");
      expect(partsBegun(storage)).toBe(0);
      expect(await filesIn(disk, PARTS_DIRECTORY)).toEqual([]);
    }
  });

  test("are not disturbed by another run's, which find the lock taken", async () => {
    const disk = new MemoryStorage();
    let foreign: Promise<string[]> | undefined;
    const storage = whenSent(disk, STATE_OF_1, () => {
      const engine = { exclusive: true, runId: OTHER_RUN_ID };
      foreign ??= saveAll(disk, 2, () => ({ engine, tag: "theirs" })).then(codes);
    });
    const results = await Promise.allSettled([
      saveRank(disk, 0, 2, EXCLUSIVE),
      saveRank(storage, 1, 2, EXCLUSIVE),
    ]);
    expect([messages(results), await foreign]).toEqual([["saved", "saved"], ["locked", "locked"]]);
  });

  test("publish nothing when the lock is lost while they write, and leave the next holder's checkpoint alone", async () => {
    const disk = new MemoryStorage();
    const next = await memoryEngine(disk, { exclusive: true, runId: OTHER_RUN_ID });
    const storage = new FaultStorage(disk);
    let isTaken = false;
    storage.move = async (from, to, options) => {
      await FaultStorage.prototype.move.call(storage, from, to, options);
      if (isTaken || !to.startsWith(PARTS_DIRECTORY)) return;
      // The first rank has its part; somebody deletes its lock by hand.
      isTaken = true;
      await disk.remove(LOCK);
      await saveState(next, "theirs", { step: 9 });
    };
    const results = await Promise.allSettled([
      saveRank(storage, 0, 2, EXCLUSIVE),
      saveRank(disk, 1, 2, { engine: { exclusive: false } }),
    ]);
    expect(isTaken).toBe(true);
    expect(codes(results)).toEqual(["locked", "locked"]);
    expect(await next.list()).toEqual(["theirs"]);
    expect(await filesIn(disk, PARTS_DIRECTORY)).toEqual([]);
    await next.cleanup();
  });
});

describe("ranks and the space on the disk", () => {
  test("another rank checks the space for its part before it writes, and tells all when there is too little", async () => {
    const disk = new MemoryStorage();
    const storage = withRoom(disk, 10_000);
    const results = await Promise.allSettled([saveRank(disk, 0, 2), saveRank(storage, 1, 2)]);
    expect(codes(results)).toEqual(["disk_full", "disk_full"]);
    expect(messages(results)[0]).toMatch(/^Rank 1 could not save: Cannot save "a": it may need \d+ bytes/);
    expect(partsBegun(storage)).toBe(0);
    expect(await filesIn(disk, PARTS_DIRECTORY)).toEqual([]);
  });

  test("the first rank checks the space for all parts at once, before any of them is begun", async () => {
    const disk = new MemoryStorage();
    // Enough for its own part and the index.
    const storages = [withRoom(disk, 45_000), withRoom(disk, 1_000_000)];
    const results = await Promise.allSettled(storages.map((storage, rank) => saveRank(storage, rank, 2)));
    expect(codes(results)).toEqual(["disk_full", "disk_full"]);
    expect(storages.map(partsBegun)).toEqual([0, 0]);
  });

  test("a replicated tensor is counted once", async () => {
    const disk = new MemoryStorage();
    const tensors = { "model.big": HostTensor.fromBytes(new Uint8Array(65_536), "f32", [16_384]) };
    const results = await saveAll(withRoom(disk, 130_000), 2, () => ({ tensors }));
    expect(messages(results)).toEqual(["saved", "saved"]);
    const tight = await saveAll(withRoom(disk, 110_000), 2, () => ({ tensors, tag: "b" }));
    expect(codes(tight)).toEqual(["disk_full", "disk_full"]);
  });

  test("another rank evicts nothing: checkpoints of the run are the first one's to delete", async () => {
    const disk = new MemoryStorage();
    const engine = await memoryEngine(disk);
    for (const tag of ["1", "2", "3"]) await saveState(engine, tag, { step: Number(tag) });
    const results = await Promise.allSettled([
      saveRank(disk, 0, 2),
      saveRank(withRoom(disk, 10_000), 1, 2, { engine: { onDiskFull: "evictOldest" } }),
    ]);
    expect(codes(results)).toEqual(["disk_full", "disk_full"]);
    expect(await engine.list()).toEqual(["1", "2", "3"]);
  });
});
