import { describe, expect, test } from "bun:test";
import type { Engine } from "../../src/checkpoint/engine/engine.ts";
import { MirrorEngine } from "../../src/checkpoint/compose/mirror_engine.ts";
import { recover } from "../../src/checkpoint/keep/recovery.ts";
import { TieredEngine } from "../../src/checkpoint/compose/tiered_engine.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import type { Storage } from "../../src/storage/storage.ts";
import { HookedStorage } from "../helpers/hooked_storage.ts";
import { fileNames, memoryEngine } from "./fixtures.ts";

// An abort is the caller's wish, and nothing is wrong with a checkpoint, a copy or a disk because of it.

type Open = (first: Storage, second: Storage) => Promise<Engine>;

const ENGINES: Record<string, Open> = {
  FileEngine: (first) => memoryEngine(first),
  MirrorEngine: async (first, second) =>
    new MirrorEngine([await memoryEngine(first), await memoryEngine(second)], { quorum: 1 }),
  TieredEngine: async (first, second) =>
    new TieredEngine([{ engine: await memoryEngine(first) }, { engine: await memoryEngine(second) }]),
};

async function save(engine: Engine, step: number, signal?: AbortSignal): Promise<void> {
  const aborting = signal === undefined ? {} : { signal };
  await engine.create(step);
  await engine.save({ state: { step }, provenance: { step } }, undefined, aborting);
  await engine.commit(step, aborting);
}

/**
 * Runs `work` with an abort before call 0, 1, 2 … on the storages, until one run is over before its abort would come.
 */
async function atEveryCall(
  open: Open,
  work: (engine: Engine, signal: AbortSignal) => Promise<unknown>,
  judge: (outcome: unknown, reason: Error, storages: readonly MemoryStorage[]) => Promise<void>,
): Promise<number> {
  for (let at = 0; at < 500; at++) {
    const storages = [new MemoryStorage(), new MemoryStorage()];
    const [first = new MemoryStorage(), second = new MemoryStorage()] = storages;
    for (const step of [1, 2]) await save(await open(first, second), step);
    const controller = new AbortController();
    const reason = new Error("enough");
    let calls = -Infinity;
    const before = (): void => void (calls++ === at && controller.abort(reason));
    const [hookedFirst, hookedSecond] = storages.map((storage) => new HookedStorage(storage, { before }));
    const engine = await open(hookedFirst ?? first, hookedSecond ?? second);
    calls = 0;
    const outcome: unknown = await work(engine, controller.signal).then(() => "done", (error) => error);
    calls = -Infinity;
    await judge(outcome, reason, storages);
    if (!controller.signal.aborted) return at;
  }
  throw new Error("The code under test never finishes without reaching the abort");
}

for (const [name, open] of Object.entries(ENGINES)) {
  describe(`An abort at any call of a ${name}`, () => {
    test("ends a recovery with its reason, quarantines nothing and counts no failure", async () => {
      const points = await atEveryCall(open, async (engine, signal) => {
        const { checkpoint } = await recover(engine, { signal, maxFailures: 1, quarantinesDamaged: true });
        await checkpoint?.close();
      }, async (outcome, reason, [first, second]) => {
        if (outcome !== "done") expect(outcome).toBe(reason);
        if (first === undefined || second === undefined) throw new Error("no storages");
        for (const storage of name === "FileEngine" ? [first] : [first, second]) {
          expect((await fileNames(storage)).filter((file) => file.endsWith(".cairn"))).toEqual([
            "1.cairn",
            "2.cairn",
          ]);
        }
        if (outcome === "done") return;
        const { checkpoint, skipped } = await recover(await open(first, second), { maxFailures: 1 });
        expect([checkpoint?.step, skipped]).toEqual([2, []]);
        await checkpoint?.close();
      });
      expect(points).toBeGreaterThan(5);
    });

    test("ends a save with its reason and leaves nothing of it, or comes too late", async () => {
      const points = await atEveryCall(
        open,
        (engine, signal) => save(engine, 3, signal).finally(() => engine.abort()),
        async (outcome, reason, [first, second]) => {
          if (outcome !== "done") expect(outcome).toBe(reason);
          if (first === undefined || second === undefined) throw new Error("no storages");
          const engine = await open(first, second);
          const expected = outcome === "done" ? ["1", "2", "3"] : ["1", "2"];
          expect(await engine.list()).toEqual(expected);
          for (const storage of [first, second]) {
            expect((await fileNames(storage)).filter((file) => file.startsWith(".tmp-"))).toEqual([]);
          }
          await save(engine, 4);
          expect(await engine.list()).toEqual([...expected, "4"]);
        },
      );
      expect(points).toBeGreaterThan(10);
    });
  });
}
