import { describe, expect, test } from "bun:test";
import { CairnError } from "../../../src/base/errors.ts";
import { failureOf } from "../../../src/checkpoint/ranks/failure.ts";
import { decodeMessage, encodeMessage, errorOfRank } from "../../../src/checkpoint/ranks/rank_messages.ts";
import { thrownBy } from "../../helpers/thrown.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("messages among ranks that save", () => {
  test("come back as they were sent, without what is undefined", async () => {
    const tensor = { name: "a", dtype: "f32", shape: [2], aliases: [], isReplicated: true } as const;
    const state = { rank: 1, digest: "d", tensors: [{ ...tensor, shard: undefined }], step: undefined };
    expect(await decodeMessage("state", encodeMessage<"state">({ message: state }))).toEqual({
      message: { rank: 1, digest: "d", tensors: [tensor] },
    });
    const failure = { code: "disk_full", message: "no room" } as const;
    for (const kind of ["state", "plan", "done", "committed"] as const) {
      expect(await decodeMessage(kind, encodeMessage({ failure }))).toEqual({ failure });
    }
    expect(await decodeMessage("committed", encodeMessage<"committed">({ message: {} }))).toEqual({
      message: {},
    });
  });

  test("that no rank sends are refused, and say what is wrong with them", async () => {
    for (
      const bad of ["{}", '{"message":{"name":1}}', '{"failure":{"code":"locked"}}', '"text"', "7", "null"]
    ) {
      const error = await thrownBy(() => decodeMessage("done", bytesOf(bad)));
      expect([error.code, error.message]).toEqual([
        "commit_failed",
        expect.stringMatching(
          /^A rank left an invalid message "done": [^]*use the same version everywhere$/,
        ),
      ]);
    }
    expect((await thrownBy(() => decodeMessage("done", bytesOf("{")))).code).toBe("invalid_container");
  });

  test("of a failure keep its code, and any other error is commit_failed", () => {
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
