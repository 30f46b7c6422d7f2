import { describe, expect, test } from "bun:test";
import { everyNSeconds, latestDuration } from "../../../../src/checkpoint/keep/retention/by_time.ts";
import { atSeconds, candidate, kept } from "./candidates.ts";
import { testRetentionRule } from "./rule_contract.ts";

testRetentionRule(everyNSeconds, (choices) => everyNSeconds(1 + choices.below(500)));
testRetentionRule(latestDuration, (choices) => latestDuration(1 + choices.below(500)));

describe("everyNSeconds", () => {
  test("keeps the first, and then each that comes so much later than the one kept before", () => {
    expect(kept(everyNSeconds(60), atSeconds(0, 59, 60, 100, 121, 180))).toEqual(["0", "2", "4"]);
    expect(kept(everyNSeconds(60), [candidate("no time"), ...atSeconds(5)])).toEqual(["0"]);
  });

  test("counts anew when the clock was set back", () => {
    expect(kept(everyNSeconds(60), atSeconds(1000, 10, 20, 70))).toEqual(["0", "1", "3"]);
  });

  test("refuses a time that is not above 0, or has no end", () => {
    for (const bad of [0, -1, NaN, Infinity]) expect(() => everyNSeconds(bad)).toThrow(RangeError);
  });
});

describe("latestDuration", () => {
  test("keeps what is not much older than the newest, whenever that was", () => {
    expect(kept(latestDuration(60), atSeconds(0, 39, 40, 100))).toEqual(["2", "3"]);
    expect(kept(latestDuration(60), atSeconds(100, 10, 99))).toEqual(["0", "2"]);
    expect(kept(latestDuration(60), [candidate("no time")])).toEqual([]);
  });

  test("refuses a time that is not above 0", () => {
    for (const bad of [0, -1, NaN]) expect(() => latestDuration(bad)).toThrow(RangeError);
  });
});
