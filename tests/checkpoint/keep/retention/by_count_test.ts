import { describe, expect, test } from "bun:test";
import { keepAll, lastN } from "../../../../src/checkpoint/keep/retention/by_count.ts";
import { atSteps, kept } from "./candidates.ts";
import { testRetentionRule } from "./rule_contract.ts";

testRetentionRule(keepAll, () => keepAll(), { deletes: false });
testRetentionRule(lastN, (choices) => lastN(1 + choices.below(4)));

describe("lastN and keepAll", () => {
  test("keep the newest so many, or everything", () => {
    expect(kept(lastN(2), atSteps(1, 2, 3))).toEqual(["2", "3"]);
    expect(kept(lastN(9), atSteps(1, 2, 3))).toEqual(["1", "2", "3"]);
    expect(kept(keepAll(), atSteps(1, 2, 3))).toEqual(["1", "2", "3"]);
    expect(kept(lastN(1), [])).toEqual([]);
  });

  test("refuses an invalid count", () => {
    for (const bad of [0, -1, NaN]) expect(() => lastN(bad)).toThrow(RangeError);
    expect(() => lastN(1.5)).toThrow("lastN takes an integer from 1, found 1.5");
  });
});
