import { describe, expect, test } from "bun:test";
import { CairnError } from "../../src/base/errors.ts";
import { ProcessGroup } from "../../src/checkpoint/ranks/process_group.ts";
import { requireAlike } from "../../src/parallel/alike.ts";
import { onFirstRank } from "../../src/parallel/first_rank.ts";

async function messages(descriptions: readonly Readonly<Record<string, string>>[]): Promise<string[]> {
  return await Promise.all(
    ProcessGroup.inMemory(descriptions.length).map((group, rank) =>
      requireAlike(group, descriptions[rank] ?? {}).then(() => "", (error: Error) => error.message)
    ),
  );
}

describe("ranks that are compared", () => {
  test("may be alike", async () => {
    expect(await messages([{ seed: "1" }, { seed: "1" }])).toEqual(["", ""]);
  });

  test("are refused with every difference, on all of them", async () => {
    const all = await messages([{ seed: "1", model: "a" }, { seed: "2", model: "a" }, { seed: "1" }]);
    expect(new Set(all).size).toBe(1);
    expect(all[0]).toContain(
      'rank 1 has the seed "2", and rank 0 "1"; rank 2 has the model "nothing", and rank 0 "a"',
    );
  });

  test("are shown where long values part", async () => {
    const [message = ""] = await messages([{ model: "x".repeat(500) }, { model: `${"x".repeat(400)}y` }]);
    expect(message).toContain("xy");
    expect(message.length).toBeLessThan(500);
  });
});

describe("what rank 0 does alone", () => {
  test("all get, errors in it included", async () => {
    const warning = new CairnError("invalid_tag", "a warning");
    const report = { tag: "a", sizes: Float32Array.of(1, NaN), none: undefined, warnings: [warning] };
    const got = await Promise.all(
      ProcessGroup.inMemory(3).map((group, rank) =>
        onFirstRank(group, () => rank === 0 ? Promise.resolve(report) : Promise.reject(new Error("not here")))
      ),
    );
    for (const each of got) {
      expect([each.tag, [...each.sizes], each.none]).toEqual(["a", [1, NaN], undefined]);
      expect(each.warnings.map(({ code, message }) => [code, message])).toEqual([[
        "invalid_tag",
        "a warning",
      ]]);
    }
  });

  test("fails on all with its code, and the group goes on", async () => {
    const codes = await Promise.all(
      ProcessGroup.inMemory(2).map(async (group) => {
        const full = new CairnError("disk_full", "no space");
        const error = await onFirstRank(group, () => Promise.reject(full)).catch((error: unknown) => error);
        await group.barrier();
        return [(error as CairnError).code, (error as CairnError).message.includes("no space")];
      }),
    );
    expect(codes).toEqual([["disk_full", true], ["disk_full", true]]);
  });
});
