import { describe, expect, test } from "bun:test";
import { Lease, surveyLeases } from "../../../../src/checkpoint/keep/evaluators/lease.ts";
import { markDoneEval } from "../../../../src/checkpoint/keep/evaluators/done_marks.ts";
import { DecoupledEngine } from "../../../../src/checkpoint/compose/decoupled_engine.ts";
import { MirrorEngine } from "../../../../src/checkpoint/compose/mirror_engine.ts";
import { retain } from "../../../../src/checkpoint/keep/retention/retention.ts";
import { ownProcessMark } from "../../../../src/base/process_mark.ts";
import { MemoryStorage } from "../../../../src/storage/memory_storage.ts";
import { HookedStorage } from "../../../helpers/hooked_storage.ts";
import { bytes, writeFile } from "../../../storage/storage_contract.ts";
import { atEveryOperation, codeOf, FaultStorage, memoryEngine, saveState } from "../../fixtures.ts";

/** Three checkpoints. */
async function threeCheckpoints(
  storage = new MemoryStorage(),
): Promise<Awaited<ReturnType<typeof memoryEngine>>> {
  const engine = await memoryEngine(storage);
  for (const step of [1, 2, 3]) await saveState(engine, step, { step });
  return engine;
}

describe("a lease", () => {
  test("keeps its checkpoint from retention, which says who holds it, and lets it go when it is released", async () => {
    const engine = await threeCheckpoints();
    const lease = await Lease.take(engine, "1", { holder: "the evaluator" });
    const report = await retain(engine, "3", { last: 1 });
    expect(report.deleted).toEqual(["2"]);
    expect(report.decisions[0]).toEqual({ tag: "1", keeps: true, reason: "it is held by the evaluator" });
    await lease.release();
    await lease.release();
    expect((await retain(engine, "3", { last: 1 })).deleted).toEqual(["1"]);
    expect(await engine.storage.list("leases")).toEqual([]);
  });

  test("keeps even a checkpoint that the newest replaces", async () => {
    const engine = await threeCheckpoints();
    const lease = await Lease.take(engine, "2");
    expect((await retain(engine, "3", { replaces: "2" })).deleted).toEqual([]);
    await lease.release();
    expect((await retain(engine, "3", { replaces: "2" })).deleted).toEqual(["2"]);
  });

  test("of a checkpoint that is not there is not_found, and leaves no file", async () => {
    const engine = await threeCheckpoints();
    expect(await codeOf(Lease.take(engine, "9"))).toBe("not_found");
    expect(await engine.storage.list("leases")).toEqual([]);
    await expect(Lease.take(engine, "1", { leaseMs: 0 })).rejects.toThrow(RangeError);
  });

  test("is renewed after each third of its time, and ends when it is not", async () => {
    const engine = await threeCheckpoints();
    let wake = (): void => {};
    const clock = {
      nowMs: 0,
      now: () => clock.nowMs,
      sleep: (_: number, signal?: AbortSignal) =>
        new Promise<void>((resolve) => {
          wake = resolve;
          signal?.addEventListener("abort", () => resolve());
        }),
    };
    const lease = await Lease.take(engine, "1", { leaseMs: 900, clock });
    const isHeldAt = async (nowMs: number): Promise<boolean> =>
      (await surveyLeases(engine, nowMs)).held.has("1");
    expect([await isHeldAt(899), await isHeldAt(900)]).toEqual([true, false]);
    clock.nowMs = 300;
    wake();
    for (let turn = 0; turn < 100_000 && !(await isHeldAt(1199)); turn++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect([await isHeldAt(1199), await isHeldAt(1200)]).toEqual([true, false]);
    await lease.release();
  });

  test("ends at once when its process is proved to be gone, and its file is cleared away", async () => {
    const engine = await threeCheckpoints();
    const own = ownProcessMark();
    if (own === undefined) return;
    // The same number, which another process had before.
    const gone = own.slice(0, 56) + "0".repeat(16);
    await engine.storage.makeDirectory("leases");
    const content = (process: string): Uint8Array =>
      bytes(`{"holder":"x","process":"${process}","expiresMs":9007199254740991}`);
    await writeFile(engine.storage, "leases/1@0123456789abcdef.lease", content(gone));
    await writeFile(engine.storage, "leases/2@0123456789abcdef.lease", content(own));
    expect((await retain(engine, "3", { last: 1 })).deleted).toEqual(["1"]);
    expect((await engine.storage.list("leases")).map(({ name }) => name)).toEqual([
      "2@0123456789abcdef.lease",
    ]);
  });

  test("in any engine of a group keeps the checkpoint in all of them", async () => {
    const storages = [new MemoryStorage(), new MemoryStorage()];
    const mirror = await MirrorEngine.open(storages);
    for (const step of [1, 2]) {
      await mirror.create(step);
      await mirror.save({ state: { step }, provenance: { savedBy: "auto" } });
      await mirror.commit(step);
    }
    for (const storage of storages) {
      const lease = await Lease.take(await memoryEngine(storage), "1");
      for (const engine of [mirror, new DecoupledEngine(mirror)]) {
        expect((await retain(engine, "2", { last: 1 })).deleted).toEqual([]);
      }
      await lease.release();
    }
    expect((await retain(mirror, "2", { last: 1 })).deleted).toEqual(["1"]);
    for (const storage of storages) expect(await (await memoryEngine(storage)).list()).toEqual(["2"]);
  });

  test("that cannot be read is respected for a day", async () => {
    let nowMs = 1_000_000;
    const engine = await threeCheckpoints(new MemoryStorage({ now: () => nowMs }));
    await engine.storage.makeDirectory("leases");
    await writeFile(engine.storage, "leases/1@0123456789abcdef.lease", bytes("torn"));
    await writeFile(engine.storage, "leases/notes.txt", bytes("1"));
    expect((await retain(engine, "3", { last: 1 }, { now: () => nowMs })).deleted).toEqual(["2"]);
    nowMs += 24 * 60 * 60 * 1000;
    expect((await retain(engine, "3", { last: 1 }, { now: () => nowMs })).deleted).toEqual(["1"]);
  });

  test("taken at any moment of a deletion holds the checkpoint, or is told that it is gone", async () => {
    const outcomes: string[] = [];
    for (let at = 0, hasFired = true; hasFired; at++) {
      const inner = new MemoryStorage();
      const reader = await threeCheckpoints(inner);
      let outcome = "not reached";
      const before = async ({ index }: { index: number }): Promise<void> => {
        if (index !== at) return;
        outcome = await Lease.take(reader, "1").then(() => "held", (error: { code: string }) => error.code);
      };
      const { deleted } = await retain(await memoryEngine(new HookedStorage(inner, { before })), "3", {
        last: 2,
      });
      hasFired = outcome !== "not reached";
      expect((await reader.list()).includes("1")).toBe(deleted.length === 0);
      outcomes.push(`${outcome}, ${deleted.length === 0 ? "kept" : "deleted"}`);
    }
    expect([...new Set(outcomes)]).toEqual(["held, kept", "not_found, deleted", "not reached, deleted"]);
  });

  test("is told that the checkpoint is gone when that was deleted at any moment of taking it", async () => {
    const outcomes = new Set<string>();
    for (let at = 0, hasFired = true; hasFired; at++) {
      const inner = new MemoryStorage();
      const writer = await threeCheckpoints(inner);
      hasFired = false;
      const before = async ({ index }: { index: number }): Promise<void> => {
        if (index !== at) return;
        hasFired = true;
        await retain(writer, "3", { last: 2 });
      };
      const taking = Lease.take(await memoryEngine(new HookedStorage(inner, { before })), "1");
      const outcome = await taking.then(() => "held", (error: { code: string }) => error.code);
      outcomes.add(`${outcome}, ${(await writer.list()).includes("1") ? "kept" : "deleted"}`);
    }
    expect([...outcomes].sort()).toEqual(["held, kept", "not_found, deleted"]);
  });
});

describe("retain", () => {
  test("takes away the name, syncs, and only then removes the bytes", async () => {
    const inner = new MemoryStorage();
    await threeCheckpoints(inner);
    const storage = new FaultStorage(inner);
    await retain(await memoryEngine(storage), "3", { last: 2 });
    const changes = storage.operations.filter(({ op }) => ["move", "remove", "syncDirectory"].includes(op));
    expect(changes.map(({ op }) => op)).toEqual(["move", "syncDirectory", "remove"]);
    expect(changes[2]?.path).toBe(changes[0]?.path);
    expect(changes[0]?.path.startsWith(".tmp-")).toBe(true);
  });

  test("a crash at any moment leaves each checkpoint whole or not to be found, and the next save clears away the rest", async () => {
    for (const takesEffect of [false, true]) {
      await atEveryOperation(async (at) => {
        const inner = new MemoryStorage();
        const engine = await threeCheckpoints(inner);
        const storage = new FaultStorage(inner);
        storage.crashAt(at, { takesEffect });
        await retain(await memoryEngine(storage), "3", { last: 1 }).catch(() => {});
        const tags = await engine.list();
        expect(tags).toContain("3");
        for (const tag of tags) {
          const checkpoint = await engine.load(tag);
          await checkpoint.verify();
          await checkpoint.close();
        }
        await saveState(engine, 4, { step: 4 });
        const names = (await inner.list("")).map(({ name }) => name);
        expect(names.filter((name) => name.startsWith(".tmp-"))).toEqual([]);
        return storage;
      });
    }
  });

  test("decides and deletes nothing when it is a dry run", async () => {
    const engine = await threeCheckpoints();
    const report = await retain(engine, "3", { last: 1 }, { dryRun: true });
    expect(report.decisions.map(({ tag, keeps, reason }) => `${tag} ${keeps} ${reason}`)).toEqual([
      "1 false it is not one of the last 1",
      "2 false it is not one of the last 1",
      "3 true it is the newest",
    ]);
    expect([report.deleted, await engine.list()]).toEqual([[], ["1", "2", "3"]]);
  });

  test("takes the marks of evaluators along", async () => {
    const engine = await threeCheckpoints();
    for (const tag of [1, 3]) await markDoneEval({ engine, tag }, "test");
    await retain(engine, "3", { last: 1 });
    expect((await engine.storage.list("evaled_by")).map(({ name }) => name)).toEqual(["3@test_DONE"]);
  });
});
