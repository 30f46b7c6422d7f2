import { describe, expect, test } from "bun:test";
import { keepAll, lastN } from "../../../../src/checkpoint/keep/retention/by_count.ts";
import { bestN } from "../../../../src/checkpoint/keep/retention/by_metric.ts";
import {
  closestToGrid,
  everyNSteps,
  explicitSteps,
} from "../../../../src/checkpoint/keep/retention/by_step.ts";
import { everyNSeconds, latestDuration } from "../../../../src/checkpoint/keep/retention/by_time.ts";
import { allOf, anyOf } from "../../../../src/checkpoint/keep/retention/combine.ts";
import type { RetentionCandidate, RetentionRule } from "../../../../src/checkpoint/keep/retention/rule.ts";

type Fields = Partial<Omit<RetentionCandidate, "tag">>;

function candidate(tag: string, fields: Fields = {}): RetentionCandidate {
  return { tag, step: undefined, timeMs: undefined, metrics: {}, ...fields };
}

/** Checkpoints by their steps. */
function atSteps(...steps: readonly number[]): RetentionCandidate[] {
  return steps.map((step) => candidate(String(step), { step }));
}

/** Checkpoints by the seconds at which they were saved. */
function atSeconds(...seconds: readonly number[]): RetentionCandidate[] {
  return seconds.map((second, index) => candidate(`${index}`, { step: index, timeMs: second * 1000 }));
}

/** Checkpoints by one metric. */
function withLoss(...values: readonly (number | undefined)[]): RetentionCandidate[] {
  return values.map((loss, index) =>
    candidate(`${index}`, { step: index, metrics: loss === undefined ? {} : { loss } })
  );
}

function kept(rule: RetentionRule, checkpoints: readonly RetentionCandidate[]): string[] {
  const tags = rule.keep(checkpoints);
  return checkpoints.map(({ tag }) => tag).filter((tag) => tags.has(tag));
}

describe("lastN and keepAll", () => {
  test("keep the newest so many, or everything", () => {
    expect(kept(lastN(2), atSteps(1, 2, 3))).toEqual(["2", "3"]);
    expect(kept(lastN(9), atSteps(1, 2, 3))).toEqual(["1", "2", "3"]);
    expect(kept(keepAll(), atSteps(1, 2, 3))).toEqual(["1", "2", "3"]);
    expect(kept(lastN(1), [])).toEqual([]);
  });
});

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
});

describe("explicitSteps", () => {
  test("keeps exactly those", () => {
    expect(kept(explicitSteps([20, 0, 7]), atSteps(0, 10, 20))).toEqual(["0", "20"]);
    expect(kept(explicitSteps([]), atSteps(0, 10))).toEqual([]);
  });
});

describe("everyNSeconds", () => {
  test("keeps the first, and then each that comes so much later than the one kept before", () => {
    expect(kept(everyNSeconds(60), atSeconds(0, 59, 60, 100, 121, 180))).toEqual(["0", "2", "4"]);
    expect(kept(everyNSeconds(60), [candidate("no time"), ...atSeconds(5)])).toEqual(["0"]);
  });

  test("counts anew when the clock was set back", () => {
    expect(kept(everyNSeconds(60), atSeconds(1000, 10, 20, 70))).toEqual(["0", "1", "3"]);
  });
});

describe("latestDuration", () => {
  test("keeps what is not much older than the newest, whenever that was", () => {
    expect(kept(latestDuration(60), atSeconds(0, 39, 40, 100))).toEqual(["2", "3"]);
    expect(kept(latestDuration(60), atSeconds(100, 10, 99))).toEqual(["0", "2"]);
    expect(kept(latestDuration(60), [candidate("no time")])).toEqual([]);
  });
});

describe("bestN", () => {
  test("keeps the best so many in the direction that the name says, or that is given", () => {
    const checkpoints = withLoss(3, 1, 2, 4);
    expect(kept(bestN(2, "loss"), checkpoints)).toEqual(["1", "2"]);
    expect(kept(bestN(2, { metric: "loss", direction: "max" }), checkpoints)).toEqual(["0", "3"]);
    const scored = [0.5, 0.9].map((val_accuracy, index) =>
      candidate(`${index}`, { metrics: { val_accuracy } })
    );
    expect(kept(bestN(1, "val_accuracy"), scored)).toEqual(["1"]);
  });

  test("never counts a metric as best that is not finite, or missing", () => {
    const highest = { metric: "loss", direction: "max" } as const;
    expect(kept(bestN(3, "loss"), withLoss(NaN, undefined, 1))).toEqual(["2"]);
    expect(kept(bestN(1, "loss"), withLoss(5, -Infinity))).toEqual(["0"]);
    expect(kept(bestN(1, highest), withLoss(5, Infinity))).toEqual(["0"]);
    expect(kept(bestN(2, "loss"), withLoss(Infinity, 5, Infinity, -Infinity))).toEqual(["1"]);
    expect(kept(bestN(1, highest), withLoss(NaN, -Infinity, Infinity))).toEqual([]);
    expect(kept(bestN(1, { metric: "toString", direction: "max" }), withLoss(1))).toEqual([]);
  });

  test("of equally good ones the newer are better", () => {
    expect(kept(bestN(2, "loss"), withLoss(1, 1, 1))).toEqual(["1", "2"]);
  });

  test("keeps unmeasured ones when asked to, and NaN is measured", () => {
    const rule = bestN(1, "loss", { keepWithoutMetric: true });
    expect(kept(rule, withLoss(NaN, undefined, 1, 2))).toEqual(["1", "2"]);
  });

  test("of several metrics keeps the best of each, and says which", () => {
    const checkpoints = [[1, 0.1], [2, 0.9], [3, 0.5]].map(([loss = 0, accuracy = 0], index) =>
      candidate(`${index}`, { metrics: { loss, accuracy } })
    );
    const rule = bestN(1, ["loss", "accuracy"]);
    expect([...rule.keep(checkpoints)]).toEqual([["0", "the best by loss"], ["1", "the best by accuracy"]]);
    expect(rule.description).toBe("the best by loss or the best by accuracy");
  });

  test("refuses a metric whose direction is neither given nor in its name", () => {
    expect(() => bestN(1, "perplexity")).toThrow(
      'Whether a low or a high "perplexity" is better is not in its name; write { metric: "perplexity", direction: "max" }',
    );
    expect(() => bestN(1, [])).toThrow(RangeError);
  });
});

describe("anyOf and allOf", () => {
  test("keep what any or what all of the rules keep, with the reasons", () => {
    const checkpoints = atSteps(10, 15, 20, 25);
    const [steps, last] = [everyNSteps(10), lastN(2)];
    expect([...anyOf(steps, last).keep(checkpoints)]).toEqual([
      ["10", "at a multiple of 10 steps"],
      ["20", "at a multiple of 10 steps"],
      ["25", "one of the last 2"],
    ]);
    expect([...allOf(steps, last).keep(checkpoints)]).toEqual([
      ["20", "at a multiple of 10 steps, and one of the last 2"],
    ]);
    expect(allOf(steps, last).description).toBe("at a multiple of 10 steps, and one of the last 2");
    expect(kept(anyOf(allOf(steps, last), explicitSteps([15])), checkpoints)).toEqual(["15", "20"]);
  });

  test("refuse to be made of no rule", () => {
    expect(() => anyOf()).toThrow("anyOf needs at least one rule");
    expect(() => allOf()).toThrow(RangeError);
  });
});

describe("every rule", () => {
  test("refuses figures that make no sense", () => {
    for (const bad of [0, -1, NaN]) {
      const makers = [
        () => lastN(bad),
        () => everyNSteps(bad),
        () => everyNSteps(1, { maxToKeep: bad }),
        () => closestToGrid(bad),
        () => everyNSeconds(bad),
        () => latestDuration(bad),
        () => bestN(bad, "loss"),
      ];
      for (const make of makers) expect(make).toThrow(RangeError);
    }
    expect(() => lastN(1.5)).toThrow("lastN takes an integer from 1, found 1.5");
    expect(() => everyNSeconds(Infinity)).toThrow(RangeError);
    expect(() => explicitSteps([-1])).toThrow(RangeError);
  });
});
