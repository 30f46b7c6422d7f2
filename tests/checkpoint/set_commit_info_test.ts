import { describe, expect, test } from "bun:test";
import { CommitInfo } from "../../src/checkpoint/engine/commit_info.ts";
import { DecoupledEngine } from "../../src/checkpoint/compose/decoupled_engine.ts";
import type { Engine } from "../../src/checkpoint/engine/engine.ts";
import { MirrorEngine } from "../../src/checkpoint/compose/mirror_engine.ts";
import { TieredEngine } from "../../src/checkpoint/compose/tiered_engine.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { codeOf, fileNames, memoryEngine, OTHER_RUN_ID, saveState } from "./fixtures.ts";
import { thrownBy } from "../helpers/thrown.ts";

const OPEN: Record<string, () => Promise<Engine>> = {
  FileEngine: () => memoryEngine(),
  DecoupledEngine: async () => new DecoupledEngine(await memoryEngine()),
  MirrorEngine: async () => new MirrorEngine([await memoryEngine(), await memoryEngine()]),
  TieredEngine: async () =>
    new TieredEngine([{ engine: await memoryEngine() }, { engine: await memoryEngine() }]),
};

for (const [name, open] of Object.entries(OPEN)) {
  describe(`The commit info of a ${name}`, () => {
    test("can be set in the place of create, and taken back", async () => {
      const engine = await open();
      expect(engine.getCommitInfo()).toBeNull();
      engine.setCommitInfo(CommitInfo.of("dropped"));
      engine.setCommitInfo(null);
      expect(engine.getCommitInfo()).toBeNull();
      engine.setCommitInfo(CommitInfo.of("a"));
      expect(engine.getCommitInfo()?.tag).toBe("a");
      await engine.save({ state: { step: 1 } });
      expect((await engine.commit("a")).tag).toBe("a");
      expect(await engine.list()).toEqual(["a"]);
      await engine.cleanup();
    });

    test("is refused while something is saved and not committed, which stays to be committed", async () => {
      const engine = await open();
      await engine.create("a");
      await engine.save({ state: { step: 1 } });
      for (const info of [CommitInfo.of("b"), null]) {
        const error = await thrownBy(() => engine.setCommitInfo(info));
        expect([error.code, error.message]).toEqual([
          "commit_failed",
          expect.stringContaining("not committed"),
        ]);
      }
      await engine.commit("a");
      expect(await engine.list()).toEqual(["a"]);
      await engine.cleanup();
    });

    test("names the one file that a save may be told to go to", async () => {
      const engine = await open();
      // Its save goes on in the background, and its commit tells.
      if (engine.isDecoupled()) return await engine.cleanup();
      await engine.create("a");
      const error = await thrownBy(() => engine.save({ state: { step: 1 } }, "b.cairn"));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toContain('Cannot save to "b.cairn"');
      await engine.abort();
      await engine.create("a");
      await engine.save({ state: { step: 1 } }, "a.cairn");
      await engine.commit("a");
      await engine.cleanup();
    });
  });
}

describe("An exclusive FileEngine whose commit info was set", () => {
  test("takes the lock before it writes, and writes nothing when another one has it", async () => {
    const storage = new MemoryStorage();
    const first = await memoryEngine(storage, { exclusive: true, directory: "runs" });
    first.setCommitInfo(CommitInfo.of({ tag: "a", saveDir: "runs" }));
    await first.save({ state: { step: 1 } });
    const other = await memoryEngine(storage, { exclusive: true, directory: "runs", runId: OTHER_RUN_ID });
    other.setCommitInfo(CommitInfo.of({ tag: "b", saveDir: "runs" }));
    expect(await codeOf(other.save({ state: { step: 2 } }))).toBe("locked");
    await first.commit({ tag: "a", saveDir: "runs" });
    await first.cleanup();
    await saveState(other, "c", { step: 3 });
    await other.cleanup();
    expect((await storage.list("runs")).map(({ name }) => name)).toEqual(["a.cairn", "c.cairn", "latest"]);
    expect(await fileNames(storage)).toEqual(["runs"]);
  });
});
