import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "bun:test";
import { folderOf, foldersOf, requireFolder } from "../../src/checkpoint/checkpoint_folder.ts";
import { DecoupledEngine } from "../../src/checkpoint/decoupled_engine.ts";
import type { Engine } from "../../src/checkpoint/engine.ts";
import { MirrorEngine } from "../../src/checkpoint/mirror_engine.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { errorOf, fileNames, memoryEngine, saveState } from "./fixtures.ts";

/** An engine of somebody else, which says nothing but the paths of its checkpoints. */
function foreignEngine(directory: string): Engine {
  return { name: "foreign", pathOf: (tag: string) => `${directory}/${tag}.cairn` } as unknown as Engine;
}

describe("the folder of an engine", () => {
  test("is what it says itself, or what an engine inside of it says", async () => {
    const storage = new MemoryStorage();
    const engine = await memoryEngine(storage, { directory: "runs/a" });
    const wrapped = new DecoupledEngine(new DecoupledEngine(engine));
    for (const each of [engine, wrapped]) {
      const folder = await folderOf(each);
      expect(folder?.storage).toBe(storage);
      expect(folder?.directory).toBe("runs/a");
    }
  });

  test("of an engine that only names paths is the directory in the file system that they are in", async () => {
    const folder = await mkdtemp(join(tmpdir(), "cairn-folder-"));
    try {
      const found = await requireFolder(foreignEngine(folder));
      expect(found.directory).toBe("");
      expect(found.storage.describe("x")).toBe(join(folder, "x"));
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("cannot be told where the paths are none of a file system, and is an error where it is needed", async () => {
    const engine = foreignEngine("s3:bucket");
    expect(await folderOf(engine)).toBeUndefined();
    const error = await errorOf(requireFolder(engine));
    expect(error.code).toBe("unsupported");
    expect(error.message).toContain('The engine "foreign" does not say in which storage');
  });

  test("of an engine that writes to several places is each of them that can be told", async () => {
    const storages = [new MemoryStorage(), new MemoryStorage()];
    const engines = await Promise.all(storages.map((storage) => memoryEngine(storage)));
    const mirror = new MirrorEngine(engines);
    expect((await foldersOf(mirror)).map(({ storage }) => storage)).toEqual(storages);
    expect(await foldersOf(foreignEngine("s3:bucket"))).toEqual([]);
    const [first, second] = engines;
    if (first === undefined || second === undefined) throw new Error("no engines");
    await saveState(first, "a", { step: 1 });
    expect([await fileNames(first.storage), await fileNames(second.storage)]).toEqual([
      ["a.cairn", "latest"],
      [],
    ]);
  });
});
