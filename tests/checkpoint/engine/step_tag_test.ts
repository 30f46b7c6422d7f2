import { describe, expect, test } from "bun:test";
import { isDoneEval, markDoneEval } from "../../../src/checkpoint/keep/evaluators/done_marks.ts";
import { getCheckpoint } from "../../../src/checkpoint/keep/newest_checkpoint.ts";
import { loadCheckpoint } from "../../../src/checkpoint/compat/load_checkpoint.ts";
import { MirrorEngine } from "../../../src/checkpoint/compose/mirror_engine.ts";
import { Snapshot } from "../../../src/checkpoint/snapshot.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { codeOf, errorOf, memoryEngine, saveState } from "../fixtures.ts";
import { putFile } from "../with_manifest.ts";

describe("a number is a step", () => {
  test("for engines, snapshots, loadCheckpoint and marks, whatever the files are called", async () => {
    const engine = await memoryEngine();
    await saveState(engine, "model_epoch01", { at: 7 }, { step: 7 });
    await saveState(engine, "7", { at: 9 }, { step: 9 });
    await saveState(engine, 11, { at: 11 });
    for (const [step, at] of [[7, 7], [9, 9], [11, 11]] as const) {
      const checkpoint = await engine.load(step);
      expect(await checkpoint.state()).toEqual({ at });
      expect(checkpoint.path).toBe(await getCheckpoint(engine, { step }));
      await checkpoint.close();
      const state = { at: 0 };
      await new Snapshot(engine, state).restore(step, { strict: false });
      expect(state.at).toBe(at);
      const target = { at: 0 };
      const { tag } = await loadCheckpoint(engine, { state: target }, { tag: step });
      expect([target.at, tag]).toEqual([at, checkpoint.tag]);
      await markDoneEval({ engine, tag: step }, "test");
      expect(await isDoneEval({ engine, tag: checkpoint.tag }, "test")).toBe(true);
      expect(await isDoneEval({ engine, tag: step }, "test")).toBe(true);
    }
    expect(await isDoneEval({ engine, tag: 8 }, "test")).toBe(false);
    expect((await loadCheckpoint(engine, {}, { tag: 8 })).path).toBe(null);
  });

  test("of which the newest is taken, also where a file's name is the number", async () => {
    const engine = await memoryEngine();
    await saveState(engine, 5, { at: 1 }, { step: 5 });
    await saveState(engine, "again", { at: 2 }, { step: 5 });
    const checkpoint = await engine.load(5);
    await checkpoint.close();
    expect(checkpoint.tag).toBe("again");
  });

  test("that is not there is an error which says the steps that are", async () => {
    const engine = await memoryEngine();
    expect((await errorOf(engine.load(3))).message).toContain("there are none at all");
    await saveState(engine, "a", { at: 1 }, { step: 5 });
    await saveState(engine, "b", { at: 1 });
    const error = await errorOf(engine.load(3));
    expect(error.message).toBe(
      'There is no checkpoint of step 3 beside "memory:3.cairn"; there are none ("b"), 5',
    );
    expect([error.code, error.details.value]).toEqual(["not_found", 3]);
    for (let step = 20; step < 40; step++) await saveState(engine, `s${step}`, { at: 1 }, { step });
    expect((await errorOf(engine.load(3))).message).toContain("the last of 22 are 30, 31,");
    for (const step of [-1, 0.5, NaN, 2 ** 53]) expect(await codeOf(engine.load(step))).toBe("invalid_tag");
  });

  test("whose file is damaged says so", async () => {
    const storage = new MemoryStorage();
    await putFile(storage, "4.cairn", new Uint8Array(5000));
    const engine = await memoryEngine(storage);
    expect(await codeOf(engine.load(4))).toBe("not_a_container");
  });

  test("for an engine of engines as well", async () => {
    const mirror = new MirrorEngine([await memoryEngine(), await memoryEngine()]);
    await mirror.create("named");
    await mirror.save({ state: { at: 1 }, provenance: { step: 12 } });
    await mirror.commit("named");
    const checkpoint = await mirror.load(12);
    await checkpoint.close();
    expect(checkpoint.tag).toBe("named");
  });
});
