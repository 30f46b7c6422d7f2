import { describe, expect, test } from "bun:test";
import {
  MessageDirectory,
  RANKS_DIRECTORY,
} from "../../../../src/checkpoint/ranks/over_directory/message_directory.ts";
import { asState, MESSAGE } from "../../../../src/checkpoint/ranks/over_directory/session_messages.ts";
import { ProcessGroup } from "../../../../src/checkpoint/ranks/process_group.ts";
import { MemoryStorage } from "../../../../src/storage/memory_storage.ts";
import type { Storage } from "../../../../src/storage/storage.ts";
import { letTurnsPass, LookClock, until } from "../../../helpers/turns.ts";
import { errorOf, FaultStorage } from "../../fixtures.ts";
import { filesIn } from "../rank_saves.ts";

function open(storage: Storage, rank: number, size: number, timeoutMs = 10_000): Promise<ProcessGroup> {
  return ProcessGroup.overDirectory(storage, { rank, size, timeoutMs, pollMs: 0, clock: new LookClock() });
}

async function untilSent(storage: Storage, isIt: (name: string) => boolean): Promise<void> {
  await until(async () => (await filesIn(storage, RANKS_DIRECTORY)).some(isIt));
}

async function closeAll(groups: readonly ProcessGroup[]): Promise<void> {
  for (const group of groups) await group.close();
}

describe("ranks that meet in a directory", () => {
  test("wait for a rank that starts late, rank 0 or another one", async () => {
    for (const late of [0, 1, 2]) {
      const storage = new MemoryStorage();
      const early = [0, 1, 2].filter((rank) => rank !== late).map((rank) => open(storage, rank, 3));
      const hasCome = [0, 1, 2].filter((rank) => rank !== late).map((rank) =>
        rank === 0 ? MESSAGE.call : `waiting-${rank}`
      );
      for (const name of hasCome) await untilSent(storage, (each) => each === name);
      const groups = await Promise.all([...early, open(storage, late, 3)]);
      await Promise.all(groups.map((group) => group.barrier()));
      await closeAll(groups);
      expect(await filesIn(storage, RANKS_DIRECTORY)).toEqual([]);
    }
  });

  test("join no session that is over, whatever it left, and clear it away", async () => {
    const storage = new MemoryStorage();
    const left = new MessageDirectory(storage, "", {});
    await left.send(MESSAGE.call, asState({ session: "old", size: 2 }));
    await left.send(MESSAGE.welcome("old"), asState({ nonces: ["", "gone"] }));
    await left.send(
      MESSAGE.givenUp("old"),
      asState({ code: "locked", message: "then", nonces: ["", "gone"] }),
    );
    await left.send(MESSAGE.letter("old", 0, 0), asState({ call: "barrier" }));
    const other = open(storage, 1, 2);
    await untilSent(storage, (name) => name === MESSAGE.answer("old", 1));
    const groups = await Promise.all([open(storage, 0, 2), other]);
    expect((await filesIn(storage, RANKS_DIRECTORY)).filter((name) => name.startsWith("old"))).toEqual([]);
    await Promise.all(groups.map((group) => group.barrier()));
    await closeAll(groups);
  });

  test("are told when one of them is missing, and which one", async () => {
    const storage = new MemoryStorage();
    const [first, other] = [open(storage, 0, 3, 60), open(storage, 2, 3)].map(errorOf);
    expect(await first).toMatchObject({ code: "rank_missing", details: { ranks: [1], limit: 60 } });
    expect((await first)?.message).toContain("rank 1 of 3 did not answer after 60 ms");
    expect(await other).toMatchObject({
      code: "rank_failed",
      details: { ranks: [0] },
      cause: { code: "rank_missing" },
    });
    const alone = await errorOf(open(new MemoryStorage(), 1, 3, 60));
    expect(alone).toMatchObject({ code: "rank_missing", details: { ranks: [0] } });
  });

  test("are refused when they do not agree how many they are", async () => {
    const storage = new MemoryStorage();
    const errors = await Promise.all([open(storage, 0, 3), open(storage, 1, 2)].map(errorOf));
    for (const error of errors) {
      expect(error.code).toBe("state_mismatch");
      expect(error.message).toContain("rank 0 says that there are 3 of them, and rank 1 says 2");
    }
  });

  test("do not take one that came too late for the one that was heard", async () => {
    const storage = new MemoryStorage();
    const seen = new FaultStorage(storage);
    const first = open(seen, 0, 3);
    const messages = new MessageDirectory(storage, "", {});
    await untilSent(storage, (name) => name === MESSAGE.call);
    const { session } = await messages.receive(MESSAGE.call) as { session: string };
    // Rank 1 answers and is killed; it is heard, as rank 0 looks again and again until rank 2 is there.
    await messages.send(MESSAGE.answer(session, 1), asState({ rank: 1, size: 3, nonce: "killed" }));
    await until(() => seen.operations.some(({ op, path }) => op === "read" && path.endsWith("-answer-1")));
    await letTurnsPass();
    const restarted = errorOf(open(storage, 1, 3, 400));
    const groups = await Promise.all([first, open(storage, 2, 3)]);
    expect(await restarted).toMatchObject({ code: "rank_missing", details: { ranks: [0] } });
    await closeAll(groups);
  });

  test("stop waiting at an abort, with its reason", async () => {
    for (const rank of [0, 1]) {
      const stopping = new AbortController();
      const storage = new MemoryStorage();
      const reason = new Error("enough");
      const opening = ProcessGroup.overDirectory(storage, {
        rank,
        size: 2,
        pollMs: 0,
        signal: stopping.signal,
      });
      await untilSent(storage, () => true);
      stopping.abort(reason);
      expect(await opening.catch((error: unknown) => error)).toBe(reason);
      expect((await filesIn(storage, RANKS_DIRECTORY)).includes(MESSAGE.call)).toBe(false);
    }
  });
});

describe("a rank 0 that is stopped and opens the group anew", () => {
  test("ends the group of the others, who can open it too", async () => {
    const storage = new MemoryStorage();
    const [, other] = await Promise.all([open(storage, 0, 2), open(storage, 1, 2)]);
    const waiting = errorOf(other?.barrier() ?? Promise.resolve());
    const again = open(storage, 0, 2);
    expect(await waiting).toMatchObject({ code: "rank_failed", details: { ranks: [0] } });
    await other?.close();
    const groups = await Promise.all([again, open(storage, 1, 2)]);
    await Promise.all(groups.map((group) => group.barrier()));
    await closeAll(groups);
    expect(await filesIn(storage, RANKS_DIRECTORY)).toEqual([]);
  });

  test("does not take back what it had sent", async () => {
    const storage = new MemoryStorage();
    const [first, other] = await Promise.all([open(storage, 0, 2), open(storage, 1, 2)]);
    await first?.broadcast(0, Uint8Array.of(7));
    await first?.close();
    const again = open(storage, 0, 2);
    await untilSent(storage, (name) => name === MESSAGE.call);
    expect(await other?.broadcast(0)).toEqual(Uint8Array.of(7));
    expect(await errorOf(other?.barrier() ?? Promise.resolve())).toMatchObject({ code: "rank_failed" });
    await other?.close();
    await closeAll(await Promise.all([again, open(storage, 1, 2)]));
    expect(await filesIn(storage, RANKS_DIRECTORY)).toEqual([]);
  });
});
