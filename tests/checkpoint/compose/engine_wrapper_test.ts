import { describe, expect, test } from "bun:test";
import { engineConformance } from "../../../src/checkpoint/compose/engine_conformance.ts";
import { EngineWrapper } from "../../../src/checkpoint/compose/engine_wrapper.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { fileNames, memoryEngine, OTHER_RUN_ID } from "../fixtures.ts";

describe("EngineWrapper conforms to the engine's contract", () => {
  const open = async (): Promise<EngineWrapper> => new EngineWrapper(await memoryEngine());
  for (const { name, run } of engineConformance({ open })) test(name, run);
});

describe("EngineWrapper", () => {
  test("describes itself as the engine inside does", async () => {
    const inner = await memoryEngine();
    const wrapper = new EngineWrapper(inner);
    wrapper.continueRun(OTHER_RUN_ID, "before");
    expect([wrapper.name, wrapper.runId, wrapper.resumedFrom]).toEqual(["file", OTHER_RUN_ID, "before"]);
    expect(wrapper.isDecoupled()).toBe(false);
    expect([wrapper.pathOf("a"), wrapper.location]).toEqual([inner.pathOf("a"), inner.location]);
  });

  test("forwards the calls, and says what is uncommitted meanwhile", async () => {
    const inner = await memoryEngine();
    await using wrapper = new EngineWrapper(inner);
    await wrapper.create("a");
    expect(inner.uncommitted?.tag).toBe("a");
    expect(wrapper.uncommitted).toBe(inner.uncommitted);
    await wrapper.save({ state: { step: 1 } });
    await wrapper.commit("a");
    expect(await wrapper.list()).toEqual(["a"]);
    await wrapper.remove("a");
    expect(await inner.list()).toEqual([]);
  });

  test("disposes of the engine inside when it is disposed of", async () => {
    const storage = new MemoryStorage();
    {
      await using wrapper = new EngineWrapper(await memoryEngine(storage));
      await wrapper.create("a");
      await wrapper.save({ state: { step: 1 } });
      expect(await fileNames(storage)).toHaveLength(1);
    }
    expect(await fileNames(storage)).toEqual([]);
  });
});
