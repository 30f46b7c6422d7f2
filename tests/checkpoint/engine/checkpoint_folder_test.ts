import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "bun:test";
import { folderOf, foldersOf, requireFolder } from "../../../src/checkpoint/engine/checkpoint_folder.ts";
import { DecoupledEngine } from "../../../src/checkpoint/compose/decoupled_engine.ts";
import type { Engine } from "../../../src/checkpoint/engine/engine.ts";
import { MirrorEngine } from "../../../src/checkpoint/compose/mirror_engine.ts";
import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import { retain } from "../../../src/checkpoint/keep/retention/retention.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { bytes, writeFile } from "../../storage/storage_contract.ts";
import { codeOf, errorOf, fileNames, memoryEngine, saveState } from "../fixtures.ts";

/** An engine of somebody else, which says nothing but where its checkpoints are. */
function foreignEngine(directory: string): Engine {
  return { name: "foreign", location: `${directory}/` } as unknown as Engine;
}

/** Does what another engine does, and says nothing of where that lies. */
function hidden(inner: Engine): Engine {
  const known = new Set(["storage", "directory", "inner", "engines"]);
  return new Proxy(inner, {
    get(target, key) {
      if (key === "location") return "s3:bucket/";
      if (key === "pathOf") return (tag: string) => `s3:bucket/${tag}.cairn`;
      const value: unknown = known.has(String(key)) ? undefined : Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

describe("an engine whose folder cannot be told", () => {
  test("recovers and retains, and only counts no failures", async () => {
    const inner = await memoryEngine();
    const engine = hidden(inner);
    for (const step of [1, 2, 3]) await saveState(inner, step, { step }, { step });
    for (let attempt = 0; attempt < 3; attempt++) {
      const { checkpoint, skipped, confirm } = await recover(engine, { maxFailures: 1 });
      expect([checkpoint?.step, skipped]).toEqual([3, []]);
      await checkpoint?.close();
      if (attempt === 2) await confirm();
    }
    expect((await retain(engine, "3", { last: 1 })).deleted).toEqual(["1", "2"]);
    expect(await engine.list()).toEqual(["3"]);
  });

  test("cannot set anything aside, which is an error and not a silence", async () => {
    const storage = new MemoryStorage();
    const engine = hidden(await memoryEngine(storage));
    await writeFile(storage, "1.cairn", bytes("rubbish"));
    expect(await codeOf(recover(engine, { quarantinesDamaged: true }))).toBe("unsupported");
    expect(await fileNames(storage)).toEqual(["1.cairn"]);
  });
});

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
