import { describe, expect, test } from "bun:test";
import type { CheckpointState, FrozenCheckpoint } from "../../../src/checkpoint/capture/frozen_checkpoint.ts";
import { DeepSpeedEngine } from "../../../src/checkpoint/compat/deepspeed_engine.ts";
import { DecoupledEngine } from "../../../src/checkpoint/compose/decoupled_engine.ts";
import { engineConformance } from "../../../src/checkpoint/compose/engine_conformance.ts";
import { EngineWrapper } from "../../../src/checkpoint/compose/engine_wrapper.ts";
import { MirrorEngine } from "../../../src/checkpoint/compose/mirror_engine.ts";
import { TieredEngine } from "../../../src/checkpoint/compose/tiered_engine.ts";
import { CommitInfo } from "../../../src/checkpoint/engine/commit_info.ts";
import type { Engine } from "../../../src/checkpoint/engine/engine.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { codeOf, fileNames, loadState, memoryEngine, OTHER_RUN_ID, saveState } from "../fixtures.ts";

const OPEN: Record<string, () => Promise<Engine>> = {
  FileEngine: () => memoryEngine(),
  DecoupledEngine: async () => new DecoupledEngine(await memoryEngine()),
  MirrorEngine: async () => new MirrorEngine([await memoryEngine(), await memoryEngine()]),
  TieredEngine: async () =>
    new TieredEngine([{ engine: await memoryEngine() }, { engine: await memoryEngine() }]),
};

describe("DeepSpeedEngine conforms to the engine's contract", () => {
  const open = async (): Promise<Engine> => new DeepSpeedEngine(await memoryEngine());
  for (const { name, run } of engineConformance({ open })) test(name, run);
});

describe("DeepSpeedEngine", () => {
  test("DS-02 has the defaults of the interface", async () => {
    const engine = new DeepSpeedEngine(await memoryEngine());
    expect(engine.isDecoupled()).toBe(false);
    expect([0, 1, 7].map((rank) => engine.isDataParallelWriter(rank))).toEqual([true, false, false]);
    expect(engine.preservesStorageSharing()).toBe(true);
    expect(engine.getCommitInfo()).toBeNull();
    await engine.cleanup();
    await engine.cleanup();
  });

  test("DS-02 makes a directory in each of its places, which must not be there", async () => {
    const members = [await memoryEngine(), await memoryEngine(new MemoryStorage(), { directory: "a" })];
    const engine = new DeepSpeedEngine(new MirrorEngine(members));
    await engine.makedirs("runs");
    expect(await codeOf(engine.makedirs("runs"))).toBe("already_exists");
    await engine.makedirs("runs", { existOk: true });
    expect(await Promise.all(members.map(({ storage, directory }) => storage.list(directory)))).toEqual([
      [expect.objectContaining({ name: "runs", kind: "directory" })],
      [expect.objectContaining({ name: "runs", kind: "directory" })],
    ]);
  });

  test("takes the state in the tick of a save whose commit info was set", async () => {
    const engine = new DeepSpeedEngine(await memoryEngine());
    engine.setCommitInfo(CommitInfo.of("a"));
    const state = { step: 1 };
    const saving = engine.save({ state });
    state.step = 2;
    await saving;
    await engine.commit("a");
    expect(await loadState(engine, "a")).toEqual({ step: 1 });
  });

  test("frees the memory of a state whose save fails", async () => {
    let released = 0;
    class Failing extends EngineWrapper {
      override save(frozen: CheckpointState | FrozenCheckpoint): Promise<undefined> {
        Object.assign(frozen, { release: () => released++ });
        return Promise.reject(new Error("no disk"));
      }
    }
    const engine = new DeepSpeedEngine(new Failing(await memoryEngine()));
    engine.setCommitInfo(CommitInfo.of("a"));
    await expect(engine.save({ state: {} })).rejects.toThrow("no disk");
    expect(released).toBe(1);
  });

  test("refuses a tag that is taken, and then needs a new commit info", async () => {
    const engine = new DeepSpeedEngine(await memoryEngine());
    await saveState(engine, "a", { step: 1 });
    engine.setCommitInfo(CommitInfo.of("a"));
    expect(await codeOf(engine.save({ state: { step: 2 } }))).toBe("already_exists");
    expect(engine.getCommitInfo()).toBeNull();
    expect(await codeOf(engine.save({ state: { step: 2 } }))).toBe("commit_failed");
    await saveState(engine, "b", { step: 3 });
    expect(await engine.list()).toEqual(["a", "b"]);
  });

  test("saves nothing once its commit info was taken back", async () => {
    const engine = new DeepSpeedEngine(await memoryEngine());
    await engine.create("a");
    engine.setCommitInfo(null);
    expect(engine.getCommitInfo()).toBeNull();
    expect(await codeOf(engine.save({ state: {} }))).toBe("commit_failed");
  });
});

for (const [name, open] of Object.entries(OPEN)) {
  describe(`The commit info of a ${name}`, () => {
    test("can be set instead of calling create, and taken back", async () => {
      const engine = new DeepSpeedEngine(await open());
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

    test("is refused while a save is not committed, and that save can still be committed", async () => {
      const engine = new DeepSpeedEngine(await open());
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
      const engine = new DeepSpeedEngine(await open());
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
    const options = { exclusive: true, directory: "runs" };
    const first = new DeepSpeedEngine(await memoryEngine(storage, options));
    first.setCommitInfo(CommitInfo.of({ tag: "a", saveDir: "runs" }));
    await first.save({ state: { step: 1 } });
    const other = new DeepSpeedEngine(await memoryEngine(storage, { ...options, runId: OTHER_RUN_ID }));
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
