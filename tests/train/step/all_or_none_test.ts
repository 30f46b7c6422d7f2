import { describe, expect, test } from "bun:test";
import { deferred } from "../../../src/base/deferred.ts";
import { allOrNone } from "../../../src/train/step/all_or_none.ts";
import { thrownBy } from "../../helpers/thrown.ts";

describe("allOrNone", () => {
  test("gives what all made, in their order", async () => {
    const freed: string[] = [];
    const made = await allOrNone([Promise.resolve("a"), Promise.resolve("b")], (each) => freed.push(each));
    expect([made, freed]).toEqual([["a", "b"], []]);
  });

  test("waits for all, frees what was made, and throws the first error", async () => {
    const freed: string[] = [];
    const late = deferred();
    const making = [
      late.promise.then(() => "late"),
      Promise.reject(new Error("first")),
      Promise.reject(new Error("second")),
      Promise.resolve("early"),
    ];
    const failing = thrownBy(() => allOrNone(making, (each) => freed.push(each)));
    await Promise.resolve();
    expect(freed).toEqual([]);
    late.resolve();
    expect((await failing).message).toBe("first");
    expect(freed).toEqual(["late", "early"]);
  });
});
