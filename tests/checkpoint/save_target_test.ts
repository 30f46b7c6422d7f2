import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "bun:test";
import { SaveTarget } from "../../src/checkpoint/save_target.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { memoryEngine } from "./fixtures.ts";

async function saveOnce(target: SaveTarget): Promise<void> {
  await target.saver.save({ state: { step: 1 } }, "a");
  await target.close();
}

describe("where saves go", () => {
  test("is a directory, whose engine takes the options and ends with it", async () => {
    const directory = await mkdtemp(join(tmpdir(), "cairn-target-"));
    try {
      await saveOnce(new SaveTarget(directory, { exclusive: true }));
      expect((await readdir(directory)).sort()).toEqual(["a.cairn", "latest"]);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test("is an engine of the caller's, which goes on with its lock", async () => {
    const storage = new MemoryStorage();
    const engine = await memoryEngine(storage, { exclusive: true });
    await saveOnce(new SaveTarget(engine));
    const names = (await storage.list("")).map(({ name }) => name);
    expect(names.filter((name) => name.startsWith(".lock-"))).toHaveLength(1);
    await engine.cleanup();
  });

  test("fails the save, and not the closing, when there is no such engine", async () => {
    const target = new SaveTarget("checkpoints", { runId: "no id" });
    const pending = await target.saver.save({ state: {} }, "a");
    await expect(pending.wait()).rejects.toThrow("no id");
    await target.close();
  });
});
