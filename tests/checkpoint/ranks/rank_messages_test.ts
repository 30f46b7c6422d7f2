import { describe, expect, test } from "bun:test";
import { CairnError } from "../../../src/base/errors.ts";
import { RankExchange } from "../../../src/checkpoint/ranks/rank_exchange.ts";
import {
  asState,
  errorOfRank,
  failureOf,
  parseMessage,
} from "../../../src/checkpoint/ranks/rank_messages.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { thrownBy } from "../../helpers/thrown.ts";

describe("messages among ranks", () => {
  test("come back as they were sent, without what is undefined, and none is none", async () => {
    const exchange = new RankExchange(new MemoryStorage(), "", {});
    const tensor = { name: "a", dtype: "f32", shape: [2], aliases: [], isReplicated: true } as const;
    const hello = {
      rank: 1,
      worldSize: 2,
      digest: "d",
      nonce: "n",
      tensors: [{ ...tensor, shard: undefined }],
    };
    await exchange.send("hello", asState({ ...hello, step: undefined }));
    expect(parseMessage("hello", await exchange.receive("hello"))).toEqual({ ...hello, tensors: [tensor] });
    expect(parseMessage("hello", await exchange.receive("other"))).toBeUndefined();
  });

  test("that no rank sends are refused, and say what is wrong with them", async () => {
    for (const bad of [{}, { nonce: 1 }, { nonce: "a", more: 1 }, "text", 7, null]) {
      const error = await thrownBy(() => parseMessage("waiting", bad));
      expect([error.code, error.message]).toEqual([
        "commit_failed",
        expect.stringMatching(
          /^A rank left a message "waiting" that is none: [^]*use the same version everywhere$/,
        ),
      ]);
    }
  });

  test("of a failure keep its code, and what is no CairnError is commit_failed", () => {
    const full = failureOf(new CairnError("disk_full", "no room"));
    expect(full).toEqual({ code: "disk_full", message: "no room" });
    expect(failureOf(new TypeError("no"))).toEqual({ code: "commit_failed", message: "no" });
    expect(failureOf("stop")).toEqual({ code: "commit_failed", message: "stop" });
    expect(errorOfRank(3, full)).toMatchObject({
      code: "disk_full",
      message: "Rank 3 could not save: no room",
    });
  });
});
