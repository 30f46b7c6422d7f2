import { describe, expect, test } from "bun:test";
import { PARTS_DIRECTORY } from "../../../src/checkpoint/file/parts/part_files.ts";
import { RANKS_DIRECTORY } from "../../../src/checkpoint/ranks/over_directory/message_directory.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { until } from "../../helpers/turns.ts";
import { VirtualClock } from "../../helpers/virtual_clock.ts";
import { errorOf, FaultStorage } from "../fixtures.ts";
import { codes, DONE_OF_1, engineOf, filesIn, messages, saveRank, waiting, whenSent } from "./rank_saves.ts";

describe("a rank that waits for the first one's commit", () => {
  test("leaves its part when it is aborted, and the others may still commit", async () => {
    const disk = new MemoryStorage();
    const aborting = new AbortController();
    const reason = new Error("enough");
    const storage = whenSent(disk, DONE_OF_1, () => aborting.abort(reason));
    const results = await Promise.allSettled([
      saveRank(disk, 0, 2),
      saveRank(storage, 1, 2, { signal: aborting.signal }),
    ]);
    expect(messages(results)).toEqual(["saved", "enough"]);
    const checkpoint = await (await engineOf(disk, 0)).load("a");
    await checkpoint.verify();
    expect(checkpoint.parts).toHaveLength(2);
    await checkpoint.close();
  });

  test("says that its time is up when the first one is gone, and the next attempt clears its part away", async () => {
    const disk = new MemoryStorage();
    const first = new FaultStorage(disk);
    const storage = whenSent(disk, DONE_OF_1, () => first.crashAt(first.operations.length));
    const clock = new VirtualClock();
    const results = await clock.settled([
      saveRank(first, 0, 2, waiting(clock, 50)),
      saveRank(storage, 1, 2, waiting(clock, 50)),
    ]);
    expect(messages(results)[1]).toMatch(
      /: rank 0 of 2 did not (finish its part|commit) after 50 ms; look whether/,
    );
    expect((await filesIn(disk, PARTS_DIRECTORY)).some((name) => name.startsWith("rank-1-"))).toBe(true);
    const again = await Promise.allSettled([0, 1].map((rank) => saveRank(disk, rank, 2, { step: 2 })));
    expect(messages(again)).toEqual(["saved", "saved"]);
    expect(await filesIn(disk, PARTS_DIRECTORY)).toHaveLength(2);
  });

  test("is told of the save that failed, although the first one has called for the next one by then", async () => {
    const disk = new MemoryStorage();
    const slow = new FaultStorage(disk);
    const has = async (name: string): Promise<boolean> =>
      (await filesIn(disk, RANKS_DIRECTORY)).some((each) => each.endsWith(name));
    slow.list = async (directory) => {
      if (await has("-letter-1-0")) await until(() => has("call"));
      return await FaultStorage.prototype.list.call(slow, directory);
    };
    const first = errorOf(saveRank(disk, 0, 2, { step: 2 }));
    const next = first.then(() => saveRank(disk, 0, 2, { tag: "b", step: 3 }));
    const failed = await errorOf(saveRank(slow, 1, 2, { step: 1 }));
    expect([failed.code, (await first).code]).toEqual(["state_mismatch", "state_mismatch"]);
    const results = await Promise.allSettled([next, saveRank(disk, 1, 2, { tag: "b", step: 3 })]);
    expect(messages(results)).toEqual(["saved", "saved"]);
  });

  test("writes another part for a first one that was stopped and calls again", async () => {
    const disk = new MemoryStorage();
    const stopped = new FaultStorage(disk);
    const storage = whenSent(disk, DONE_OF_1, () => {
      if (!stopped.hasFired) stopped.crashAt(stopped.operations.length);
    });
    const other = saveRank(storage, 1, 2);
    await errorOf(saveRank(stopped, 0, 2));
    expect(stopped.hasFired).toBe(true);
    expect(messages(await Promise.allSettled([saveRank(disk, 0, 2), other]))).toEqual(["saved", "saved"]);
    expect(storage.operations.filter(({ op, path }) => op === "move" && path.startsWith(PARTS_DIRECTORY)))
      .toHaveLength(2);
    expect(await filesIn(disk, PARTS_DIRECTORY)).toHaveLength(2);
  });
});

describe("ranks that do not agree how many they are", () => {
  test("are refused at once, although some of those that were expected never come", async () => {
    const disk = new MemoryStorage();
    const results = await Promise.allSettled([saveRank(disk, 0, 3), saveRank(disk, 1, 2)]);
    expect(codes(results)).toEqual(["state_mismatch", "state_mismatch"]);
    for (const message of messages(results)) {
      expect(message).toContain("rank 0 says that there are 3 of them, and rank 1 says 2");
    }
  });
});
