import { describe, expect, test } from "bun:test";
import type { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { STALE_TEMPORARY_MS } from "../../../src/checkpoint/file/leftovers.ts";
import { PARTS_DIRECTORY } from "../../../src/checkpoint/file/parts/part_files.ts";
import { partsAt, removeDeadParts, removeUnnamedParts } from "../../../src/checkpoint/engine/part_sweep.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { bytes, writeFile } from "../../storage/storage_contract.ts";
import { counterRandom, memoryEngine, OTHER_RUN_ID, RUN_ID } from "../fixtures.ts";
import { frozenTensors, modelTensors } from "../file/parts/frozen_tensors.ts";

const NOW = Date.UTC(2026, 5, 1);
const OWNER = { runId: RUN_ID, nowMs: NOW, inUse: new Set<string>() };

async function engineFor(storage: MemoryStorage, seed: number, runId = RUN_ID): Promise<FileEngine> {
  return await memoryEngine(storage, { components: true, runId, random: counterRandom(seed) });
}

/** Saves a checkpoint in several files, and gives the names of those that came with it. */
async function save(storage: MemoryStorage, tag: string, seed: number, runId = RUN_ID): Promise<string[]> {
  const before = await partNames(storage);
  const engine = await engineFor(storage, seed, runId);
  await engine.create(tag);
  await engine.save(frozenTensors(modelTensors(seed), { state: {}, provenance: {} }));
  await engine.commit(tag);
  return (await partNames(storage)).filter((name) => !before.includes(name));
}

async function partNames(storage: MemoryStorage): Promise<string[]> {
  return (await storage.list(PARTS_DIRECTORY)).map(({ name }) => name);
}

describe("removeUnnamedParts", () => {
  test("removes the parts of a checkpoint that is gone, and none that another index names", async () => {
    const storage = new MemoryStorage({ now: () => NOW });
    const [first, second] = [await save(storage, "1", 1), await save(storage, "2", 2)];
    const parts = [...await partsAt(storage, "1.cairn"), ...await partsAt(storage, "2.cairn")];
    expect(parts.length).toBe(first.length + second.length);
    await storage.remove("1.cairn");
    await removeUnnamedParts(storage, "", parts);
    expect(await partNames(storage)).toEqual(second);
  });

  test("removes nothing while an index cannot be read, which may be the one that names them", async () => {
    const storage = new MemoryStorage({ now: () => NOW });
    const names = await save(storage, "1", 1);
    const parts = await partsAt(storage, "1.cairn");
    await storage.remove("1.cairn");
    for (const path of ["2.cairn", ".tmp-somebody", "damaged/3.cairn"]) {
      if (path.startsWith("damaged")) await storage.makeDirectory("damaged");
      await writeFile(storage, path, bytes("rubbish"));
      await removeUnnamedParts(storage, "", parts);
      expect([path, await partNames(storage)]).toEqual([path, names]);
      await storage.remove(path);
    }
    await removeUnnamedParts(storage, "", parts);
    expect(await partNames(storage)).toEqual([]);
  });

  test("knows no parts of a checkpoint that is not there, cannot be read, or is one file", async () => {
    const storage = new MemoryStorage({ now: () => NOW });
    await save(storage, "1", 1);
    await writeFile(storage, "2.cairn", bytes("rubbish"));
    expect([await partsAt(storage, "2.cairn"), await partsAt(storage, "3.cairn")]).toEqual([[], []]);
  });
});

describe("removeDeadParts", () => {
  test("removes what the own run left, and what others left a day ago", async () => {
    const storage = new MemoryStorage({ now: () => NOW });
    const kept = await save(storage, "kept", 1);
    await save(storage, "own", 2);
    const others = await save(storage, "others", 3, OTHER_RUN_ID);
    for (const tag of ["own", "others"]) await storage.remove(`${tag}.cairn`);
    await removeDeadParts(storage, "", OWNER);
    expect(await partNames(storage)).toEqual([...kept, ...others].sort());
    await removeDeadParts(storage, "", { ...OWNER, nowMs: NOW + STALE_TEMPORARY_MS });
    expect(await partNames(storage)).toEqual([...kept, ...others].sort());
    await removeDeadParts(storage, "", { ...OWNER, nowMs: NOW + STALE_TEMPORARY_MS + 1 });
    expect(await partNames(storage)).toEqual(kept);
  });

  test("leaves a part that nobody can read for a day, and what is no part for ever", async () => {
    const storage = new MemoryStorage({ now: () => NOW });
    const kept = await save(storage, "kept", 1);
    const unreadable = `model-${"0".repeat(32)}.cairn`;
    await writeFile(storage, `${PARTS_DIRECTORY}/${unreadable}`, bytes("rubbish"));
    await writeFile(storage, `${PARTS_DIRECTORY}/notes.txt`, bytes("mine"));
    await storage.makeDirectory(`${PARTS_DIRECTORY}/model-${"1".repeat(32)}.cairn`);
    await removeDeadParts(storage, "", OWNER);
    expect(await partNames(storage)).toContain(unreadable);
    await removeDeadParts(storage, "", { ...OWNER, nowMs: NOW + 2 * STALE_TEMPORARY_MS });
    expect(await partNames(storage)).toEqual([...kept, `model-${"1".repeat(32)}.cairn`, "notes.txt"].sort());
  });

  test("removes nothing while an index cannot be read", async () => {
    const storage = new MemoryStorage({ now: () => NOW });
    const names = await save(storage, "1", 1);
    await storage.remove("1.cairn");
    await writeFile(storage, "2.cairn", bytes("rubbish"));
    await removeDeadParts(storage, "", { ...OWNER, nowMs: NOW + 2 * STALE_TEMPORARY_MS });
    expect(await partNames(storage)).toEqual(names);
    await storage.remove("2.cairn");
    await removeDeadParts(storage, "", OWNER);
    expect(await partNames(storage)).toEqual([]);
  });
});
