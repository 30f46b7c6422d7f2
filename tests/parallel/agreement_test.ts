import { describe, expect, test } from "bun:test";
import { ProcessGroup } from "../../src/checkpoint/ranks/process_group.ts";
import { Agreement, type Wish } from "../../src/parallel/agreement.ts";

/** What ranks with these wishes agree on before step 7. */
async function agreed(wishes: readonly Wish[]) {
  return await Promise.all(
    ProcessGroup.inMemory(wishes.length).map(async (group, rank) => {
      const agreement = new Agreement({ group, shards: 8 });
      agreement.begin(() => wishes[rank] ?? {});
      await agreement.agree(7);
      return { end: agreement.end, hasStopped: agreement.hasStopped };
    }),
  );
}

describe("what ranks agree on", () => {
  test("is nothing where none wishes anything", async () => {
    const none = { end: undefined, hasStopped: false };
    expect(await agreed([{}, {}, {}])).toEqual([none, none, none]);
  });

  test("is what any of them wishes, and a signal before a stop", async () => {
    const end = (wish: string) => ({ end: wish, hasStopped: false });
    expect(await agreed([{}, { end: "stop" }]) as unknown[]).toEqual([end("stop"), end("stop")]);
    const signals = await agreed([{ end: "stop" }, { end: "SIGTERM" }, { end: "SIGINT" }]);
    expect(signals as unknown[]).toEqual([end("SIGTERM"), end("SIGTERM"), end("SIGTERM")]);
    const stopped = { end: undefined, hasStopped: true };
    expect(await agreed([{}, { hasStopped: true }])).toEqual([stopped, stopped]);
  });

  test("begins anew with each training", async () => {
    const agreement = new Agreement({ shards: 2 });
    agreement.begin(() => ({ end: "stop" }));
    await agreement.agree(0);
    expect(agreement.end).toBe("stop");
    agreement.begin(() => ({}));
    expect(agreement.end).toBeUndefined();
  });

  test("is refused where they are at different steps", async () => {
    const outcomes = await Promise.allSettled(
      ProcessGroup.inMemory(2).map(async (group, rank) => {
        await new Agreement({ group, shards: 2 }).agree(5 + rank);
      }),
    );
    expect(outcomes.map((outcome) => outcome.status === "rejected" ? outcome.reason.code : "none")).toEqual([
      "state_mismatch",
      "state_mismatch",
    ]);
  });

  test("is the exit code of rank 0", async () => {
    const codes = await Promise.all(
      ProcessGroup.inMemory(2).map((group, rank) =>
        new Agreement({ group, shards: 2 }).numberOfFirst(rank === 0 ? 143 : 1)
      ),
    );
    expect(codes).toEqual([143, 143]);
  });
});
