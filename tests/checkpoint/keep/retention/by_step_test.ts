import { describe, expect, test } from "bun:test";
import {
  closestToGrid,
  everyNSteps,
  explicitSteps,
} from "../../../../src/checkpoint/keep/retention/by_step.ts";
import { atSteps, candidate, kept } from "./candidates.ts";
import { testRetentionRule } from "./rule_contract.ts";

testRetentionRule(everyNSteps, (choices) => {
  const steps = 1 + choices.below(50);
  const maxToKeep = 1 + choices.below(3);
  return everyNSteps(steps, choices.of({}, { mode: "atLeast" as const }, { maxToKeep }));
});
testRetentionRule(closestToGrid, (choices) => closestToGrid(1 + choices.below(50)));
testRetentionRule(explicitSteps, (choices) => explicitSteps([choices.below(100), choices.below(100)]));

describe("everyNSteps", () => {
  test("keeps multiples, 0 among them, and nothing without a step", () => {
    expect(kept(everyNSteps(100), [...atSteps(0, 99, 100, 150, 200), candidate("best")])).toEqual([
      "0",
      "100",
      "200",
    ]);
  });

  test("with atLeast keeps the first and then each that is far enough from the one kept before", () => {
    const rule = everyNSteps(100, { mode: "atLeast" });
    expect(kept(rule, atSteps(7, 90, 107, 206, 207, 500))).toEqual(["7", "107", "207", "500"]);
  });

  test("keeps no more than the newest maxToKeep of them", () => {
    expect(kept(everyNSteps(10, { maxToKeep: 2 }), atSteps(10, 20, 25, 30))).toEqual(["20", "30"]);
  });

  test("refuses invalid counts", () => {
    for (const bad of [0, -1, NaN]) {
      expect(() => everyNSteps(bad)).toThrow(RangeError);
      expect(() => everyNSteps(1, { maxToKeep: bad })).toThrow(RangeError);
    }
  });
});

describe("closestToGrid", () => {
  test("keeps the closest to each multiple; of two equally close the later; and the newest always", () => {
    expect(kept(closestToGrid(100), atSteps(3, 95, 105, 140, 160, 190, 230))).toEqual([
      "3",
      "105",
      "190",
      "230",
    ]);
    expect(kept(closestToGrid(100), atSteps(100, 150, 160))).toEqual(["100", "160"]);
    expect(kept(closestToGrid(100), atSteps(100, 149, 150))).toEqual(["100", "150"]);
    expect(kept(closestToGrid(100), [...atSteps(100), candidate("no step")])).toEqual(["100", "no step"]);
  });

  test("refuses an invalid grid", () => {
    for (const bad of [0, -1, NaN]) expect(() => closestToGrid(bad)).toThrow(RangeError);
  });
});

describe("explicitSteps", () => {
  test("keeps exactly those", () => {
    expect(kept(explicitSteps([20, 0, 7]), atSteps(0, 10, 20))).toEqual(["0", "20"]);
    expect(kept(explicitSteps([]), atSteps(0, 10))).toEqual([]);
  });

  test("refuses a step below 0", () => {
    expect(() => explicitSteps([-1])).toThrow(RangeError);
  });
});
