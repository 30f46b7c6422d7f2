import { describe, expect, test } from "bun:test";
import { PARTS_DIRECTORY } from "../../../src/checkpoint/file/parts/part_files.ts";
import { RANKS_DIRECTORY } from "../../../src/checkpoint/ranks/over_directory/message_directory.ts";
import { ProcessGroup } from "../../../src/checkpoint/ranks/process_group.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import type { Storage } from "../../../src/storage/storage.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { VirtualClock } from "../../helpers/virtual_clock.ts";
import { FaultStorage, fileNames } from "../fixtures.ts";
import { type Attempt, codes, engineOf, filesIn, messages, saveRank } from "./rank_saves.ts";

/** What makes the options of a rank those of a group. */
function over(group: ProcessGroup): Attempt["ranks"] {
  return {
    group,
    rank: undefined,
    worldSize: undefined,
    pollMs: undefined,
    clock: undefined,
    timeoutMs: undefined,
  };
}

/** All ranks of these groups at the same time, each on the storage and with what `of` says of it. */
function savesIn(
  groups: readonly ProcessGroup[],
  storageOf: (rank: number) => Storage,
  of: (rank: number) => Attempt = () => ({}),
): Promise<unknown>[] {
  return groups.map((group) => {
    const { ranks, ...attempt } = of(group.rank);
    return saveRank(storageOf(group.rank), group.rank, group.size, {
      ...attempt,
      ranks: { ...over(group), ...ranks },
    });
  });
}

/** What becomes of {@link savesIn}. */
function saveIn(...saves: Parameters<typeof savesIn>): Promise<PromiseSettledResult<unknown>[]> {
  return Promise.allSettled(savesIn(...saves));
}

async function stepOf(storage: Storage, tag: string): Promise<number | undefined> {
  const checkpoint = await (await engineOf(storage, 9)).load(tag);
  await checkpoint.verify();
  await checkpoint.close();
  return checkpoint.step;
}

describe("a save over a group that the ranks have", () => {
  test("leaves no message in the directory, and the group serves the next save", async () => {
    const disk = new MemoryStorage();
    const groups = ProcessGroup.inMemory(3);
    for (const step of [1, 2]) {
      const results = await saveIn(groups, () => disk, () => ({ tag: `step-${step}`, step }));
      expect(messages(results)).toEqual(["saved", "saved", "saved"]);
      expect(await stepOf(disk, `step-${step}`)).toBe(step);
    }
    expect(await fileNames(disk)).not.toContain(RANKS_DIRECTORY);
    await Promise.all(groups.map((group) => group.barrier()));
  });

  test("that fails on any rank, before it writes or while it does, fails on all, and the group goes on", async () => {
    const disk = new MemoryStorage();
    const groups = ProcessGroup.inMemory(3);
    expect(messages(await saveIn(groups, () => disk))).toEqual(["saved", "saved", "saved"]);
    expect(codes(await saveIn(groups, () => disk, () => ({ step: 2 })))).toEqual([
      "already_exists",
      "already_exists",
      "already_exists",
    ]);
    for (const failing of [0, 1, 2]) {
      const storage = new FaultStorage(disk);
      storage.freeBytes = () => Promise.resolve(10);
      const results = await saveIn(
        groups,
        (rank) => rank === failing ? storage : disk,
        () => ({ tag: "b", step: 3 }),
      );
      expect(codes(results)).toEqual(["disk_full", "disk_full", "disk_full"]);
    }
    const steps = await saveIn(groups, () => disk, (rank) => ({ tag: "b", step: rank }));
    expect(codes(steps)).toEqual(["state_mismatch", "state_mismatch", "state_mismatch"]);
    expect(await filesIn(disk, PARTS_DIRECTORY)).toHaveLength(3);
    const results = await saveIn(groups, () => disk, () => ({ tag: "b", step: 4 }));
    expect([messages(results), await stepOf(disk, "b")]).toEqual([["saved", "saved", "saved"], 4]);
  });

  test("that is aborted on one rank fails on all, and the group is over", async () => {
    for (const aborted of [0, 1]) {
      const disk = new MemoryStorage();
      const groups = ProcessGroup.inMemory(2);
      const reason = new Error("enough");
      const results = await saveIn(
        groups,
        () => disk,
        (rank) => rank === aborted ? { signal: AbortSignal.abort(reason) } : {},
      );
      const other = { code: "commit_failed", message: `Rank ${aborted} could not save: enough` };
      expect(results[aborted]).toEqual({ status: "rejected", reason });
      expect(results[1 - aborted]).toMatchObject({ status: "rejected", reason: other });
      expect(await (await engineOf(disk, 0)).list()).toEqual([]);
      for (const group of groups) expect((await thrownBy(() => group.barrier())).message).toContain("enough");
    }
  });

  test("names a rank that does not come", async () => {
    const disk = new MemoryStorage();
    const clock = new VirtualClock();
    const groups = ProcessGroup.inMemory(3, { clock }).filter(({ rank }) => rank !== 1);
    const timeoutMs = [1000, 0, 5000];
    const results = await clock.settled(
      savesIn(groups, () => disk, (rank) => ({ ranks: { timeoutMs: timeoutMs[rank] } })),
    );
    expect(codes(results)).toEqual(["commit_failed", "commit_failed"]);
    const missing = "Cannot save together: rank 1 of 3 did not answer after 1000 ms";
    expect(messages(results)).toEqual([
      expect.stringContaining(missing),
      expect.stringContaining(`Rank 0 could not save: ${missing}`),
    ]);
  });

  test("is saved where the index is there, although rank 0 ended without a message", async () => {
    for (const isCommitted of [true, false]) {
      const disk = new MemoryStorage();
      const [first, other] = ProcessGroup.inMemory(2);
      if (first === undefined || other === undefined) throw new Error("two ranks were asked for");
      const broadcast = first.broadcast.bind(first);
      let broadcasts = 0;
      first.broadcast = async (...call) => {
        if (++broadcasts === 2) await first.close();
        return await broadcast(...call);
      };
      const storage = new FaultStorage(disk);
      storage.move = async (from, to, options) => {
        if (!isCommitted && to === "a.cairn") throw new TypeError("it is not published");
        await FaultStorage.prototype.move.call(storage, from, to, options);
      };
      const results = await saveIn([first, other], (rank) => rank === 0 ? storage : disk);
      expect(codes(results)).toEqual(
        isCommitted ? ["saved", "saved"] : ["undefined", "commit_failed"],
      );
      // A rank that does not know the outcome leaves its part, and the next save of the run removes it.
      expect((await filesIn(disk, PARTS_DIRECTORY)).some((name) => name.startsWith("rank-1-"))).toBe(true);
      if (isCommitted) expect(await stepOf(disk, "a")).toBe(1);
    }
  });

  test("needs the group, or rank and worldSize, and no mixture", async () => {
    const [group] = ProcessGroup.inMemory(1);
    const wrong: Attempt["ranks"][] = [
      { group },
      { rank: undefined },
      { worldSize: undefined },
      { ...over(group as ProcessGroup), pollMs: 5 },
    ];
    for (const ranks of wrong) {
      expect(await thrownBy(() => saveRank(new MemoryStorage(), 0, 1, { ranks: ranks ?? {} })))
        .toBeInstanceOf(TypeError);
    }
  });
});
