import { describe, expect, test } from "bun:test";
import { CairnError } from "../../../../src/base/errors.ts";
import { TimeLimit } from "../../../../src/checkpoint/ranks/group_call.ts";
import {
  MessageDirectory,
  RANKS_DIRECTORY,
} from "../../../../src/checkpoint/ranks/over_directory/message_directory.ts";
import { refuseOthers, WaitingRank } from "../../../../src/checkpoint/ranks/over_directory/refusal.ts";
import type { Seat } from "../../../../src/checkpoint/ranks/over_directory/seat.ts";
import { asState } from "../../../../src/checkpoint/ranks/over_directory/session_messages.ts";
import { MemoryStorage } from "../../../../src/storage/memory_storage.ts";
import type { Storage } from "../../../../src/storage/storage.ts";
import { thrownBy } from "../../../helpers/thrown.ts";
import { errorOf, FaultStorage, memoryEngine, OTHER_RUN_ID } from "../../fixtures.ts";
import { codes, engineOf, filesIn, messages, saveAll, saveRank } from "../rank_saves.ts";
import { LookClock, until } from "../../../helpers/turns.ts";

const ERROR = new CairnError("disk_full", "there is no room");

function seatOf(storage: Storage, rank: number, size: number, timeoutMs = 4000): Seat {
  const clock = new LookClock();
  const messages = new MessageDirectory(storage, "", { pollMs: 0, clock });
  return { messages, rank, size, options: { timeoutMs, clock }, signal: undefined };
}

/** Waits until a message of this name is there, or any. */
async function untilSent(storage: Storage, name?: string): Promise<void> {
  await until(async () =>
    (await filesIn(storage, RANKS_DIRECTORY)).some((each) => name === undefined || each === name)
  );
}

/** A rank that waits until it is refused. */
async function refused(storage: Storage, rank: number): Promise<CairnError> {
  const { messages, options, signal } = seatOf(storage, rank, 9);
  const waiting = await WaitingRank.begin(messages, rank);
  const timeUp = (): Error => new Error("no refusal");
  const looking = { limit: new TimeLimit(options), signal, timeUp };
  const error = await errorOf(messages.until(() => waiting.assertNotRefused(), looking));
  await waiting.end();
  return error;
}

describe("a first rank that cannot begin", () => {
  test("tells each rank why, whether that waits already or comes later, and leaves no message", async () => {
    const storage = new MemoryStorage();
    const early = refused(storage, 2);
    await untilSent(storage);
    const telling = refuseOthers(seatOf(storage, 0, 3), ERROR);
    const errors = [await early, await refused(storage, 1)];
    await telling;
    expect(errors.map(({ code, message }) => `${code}: ${message}`)).toEqual([
      "rank_failed: Rank 0 has ended the group: there is no room",
      "rank_failed: Rank 0 has ended the group: there is no room",
    ]);
    for (const { cause } of errors) {
      expect(cause).toMatchObject({ code: "disk_full", message: "there is no room" });
    }
    expect(await filesIn(storage, RANKS_DIRECTORY)).toEqual([]);
  });

  test("tells the living rank, and not only the message that a killed one left", async () => {
    const storage = new MemoryStorage();
    await WaitingRank.begin(seatOf(storage, 1, 2).messages, 1);
    const telling = refuseOthers(seatOf(storage, 0, 2), ERROR);
    await untilSent(storage, "refused");
    expect((await refused(storage, 1)).cause).toMatchObject({ code: "disk_full" });
    await telling;
  });

  test("does not wait for ever for a rank that never comes, and reports its own failure", async () => {
    const timeUp = await thrownBy(() => refuseOthers(seatOf(new MemoryStorage(), 0, 2, 20), ERROR));
    expect(timeUp.message).toContain(
      "Cannot finish refusing the other ranks: rank 1 of 2 did not answer after 20 ms",
    );
    const storage = new MemoryStorage();
    await saveRank(storage, 0, 1);
    expect((await errorOf(saveRank(storage, 0, 2, { ranks: { timeoutMs: 20 } }))).code).toBe(
      "already_exists",
    );
    await refuseOthers(seatOf(storage, 0, 1), ERROR);
  });

  test("of an earlier attempt refuses nobody", async () => {
    const storage = new MemoryStorage();
    const { messages } = seatOf(storage, 0, 2);
    await messages.send("refused", asState({ code: "locked", message: "then", nonces: ["gone"] }));
    expect(codes(await saveAll(storage, 2))).toEqual(["saved", "saved"]);
    expect(await filesIn(storage, RANKS_DIRECTORY)).toEqual([]);
  });
});

describe("ranks of which the first one cannot begin", () => {
  test("all fail with its failure: a lock, a full disk, an error of the host", async () => {
    const locked = new MemoryStorage();
    const other = await memoryEngine(locked, { exclusive: true, runId: OTHER_RUN_ID });
    await other.create("theirs");
    const results = await saveAll(locked, 3, () => ({ engine: { exclusive: true } }));
    expect(codes(results)).toEqual(["locked", "locked", "locked"]);
    expect(messages(results)[2]).toMatch(/^Rank 0 could not save: Cannot write checkpoints: .* process \d+/);
    await other.cleanup();
    expect(await filesIn(locked, RANKS_DIRECTORY)).toEqual([]);
    for (const code of ["disk_full", "storage_failed"] as const) {
      const disk = new MemoryStorage();
      const first = new FaultStorage(disk);
      first.makeDirectory = (directory) =>
        directory === "" ? Promise.reject(new CairnError(code, "not here")) : disk.makeDirectory(directory);
      const saving = [saveRank(first, 0, 2), saveRank(disk, 1, 2)];
      const failed = await Promise.allSettled(saving);
      expect(codes(failed)).toEqual([code, code]);
      expect(messages(failed)).toEqual(["not here", "Rank 0 could not save: not here"]);
    }
  });

  test("are told though one of them waits for the next save while the last one is cleared away", async () => {
    const disk = new MemoryStorage();
    const first = new FaultStorage(disk);
    let next: Promise<unknown> | undefined;
    first.list = async (directory) => {
      const isDone = directory === RANKS_DIRECTORY && (await filesIn(disk, "")).includes("a.cairn");
      if (isDone && next === undefined) {
        next = errorOf(saveRank(disk, 1, 2, { tag: "b", step: 2 }));
        await untilSent(disk, "waiting-1");
      }
      return await FaultStorage.prototype.list.call(first, directory);
    };
    const engine = await engineOf(first, 0);
    const saved = await Promise.allSettled([saveRank(first, 0, 2, { engine }), saveRank(disk, 1, 2)]);
    expect(codes(saved)).toEqual(["saved", "saved"]);
    expect((await errorOf(saveRank(first, 0, 2, { engine }))).code).toBe("already_exists");
    expect(await next).toMatchObject({ code: "already_exists" });
  });

  test("fail with the code of a later failure, too", async () => {
    const results = await saveAll(new MemoryStorage(), 3, (rank) => ({ step: rank === 1 ? 2 : 1 }));
    expect(codes(results)).toEqual(["state_mismatch", "state_mismatch", "state_mismatch"]);
  });
});
