import { describe, expect, test } from "bun:test";
import { bestN } from "../../../../src/checkpoint/keep/retention/by_metric.ts";
import type { RetentionCandidate } from "../../../../src/checkpoint/keep/retention/rule.ts";
import { candidate, kept } from "./candidates.ts";
import { testRetentionRule } from "./rule_contract.ts";

/** Checkpoints by one metric. */
function withLoss(...values: readonly (number | undefined)[]): RetentionCandidate[] {
  return values.map((loss, index) =>
    candidate(`${index}`, { step: index, metrics: loss === undefined ? {} : { loss } })
  );
}

testRetentionRule(bestN, (choices) => {
  return bestN(1 + choices.below(3), "loss", { keepWithoutMetric: choices.of(true, false) });
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

  test("refuses an invalid count", () => {
    for (const bad of [0, -1, NaN]) expect(() => bestN(bad, "loss")).toThrow(RangeError);
  });
});
