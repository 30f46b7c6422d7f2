import { expect, test } from "bun:test";
import { recover } from "../../src/checkpoint/keep/recovery.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { atEveryOperation, FaultStorage, memoryEngine, saveState } from "./fixtures.ts";

test("removing takes the name first, makes that durable, and only then the bytes", async () => {
  const storage = new FaultStorage(new MemoryStorage());
  const engine = await memoryEngine(storage);
  await saveState(engine, "a", { step: 1 });
  const before = storage.operations.length;
  await engine.remove("a");
  const operations = storage.operations.slice(before).map(({ op }) => op);
  expect(operations.filter((op) => ["move", "syncDirectory", "remove"].includes(op))).toEqual([
    "move",
    "syncDirectory",
    "remove",
  ]);
});

test("a crash at any operation of removing leaves the checkpoint, or none, and never a part of it", async () => {
  await atEveryOperation(async (at) => {
    const inner = new MemoryStorage();
    await saveState(await memoryEngine(inner), "a", { step: 1 });
    const storage = new FaultStorage(inner);
    const engine = await memoryEngine(storage);
    storage.crashAt(at);
    await engine.remove("a").catch(() => {});
    const { checkpoint, skipped } = await recover(await memoryEngine(inner));
    expect(skipped).toEqual([]);
    if (checkpoint !== undefined) expect(await checkpoint.state()).toEqual({ step: 1 });
    await checkpoint?.close();
    return storage;
  });
});
