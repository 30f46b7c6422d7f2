import { describe, expect, test } from "bun:test";
import type { TrainingProgress } from "../../../src/train/callbacks/training_progress.ts";
import { ProgressRate } from "../../../src/train/log/progress_rate.ts";
import { formatSeconds } from "../../../src/train/log/progress_text.ts";

function at(step: number): TrainingProgress {
  return {
    step,
    totalSteps: 1e6,
    epoch: 1,
    totalEpochs: 1,
    examples: 4 * step,
    loss: undefined,
    metrics: {},
    saves: 0,
  };
}

describe("how fast a run is", () => {
  test("nothing is known before the first step", () => {
    const rate = new ProgressRate(5, at(7));
    expect(rate.recent(5)).toEqual({ seconds: 0, stepsPerSecond: undefined, examplesPerSecond: undefined });
    expect(rate.overall(2005)).toMatchObject({ seconds: 2, stepsPerSecond: undefined });
  });

  test("the pace is that of the later half, so that a slow beginning is forgotten", () => {
    const rate = new ProgressRate(0, at(0));
    let now = 0;
    // 100 s of one step a second, then 300 s of ten.
    for (let step = 1; step <= 100; step++) rate.take(now += 1000, at(step));
    expect(rate.recent(now).stepsPerSecond).toBeCloseTo(1, 6);
    for (let step = 101; step <= 3100; step++) rate.take(now += 100, at(step));
    expect(rate.recent(now).stepsPerSecond).toBeCloseTo(10, 6);
    expect(rate.recent(now).examplesPerSecond).toBeCloseTo(40, 6);
    expect(rate.overall(now).stepsPerSecond).toBeCloseTo(3100 / 400, 6);
  });

  test("what is measured and saved in between counts as well", () => {
    const rate = new ProgressRate(0, at(0));
    let now = 0;
    for (let step = 1; step <= 2000; step++) rate.take(now += step % 100 === 0 ? 1100 : 100, at(step));
    expect(rate.recent(now).stepsPerSecond).toBeCloseTo(1 / 0.11, 0);
  });

  test("a run that went back, with another device, has no negative pace", () => {
    const rate = new ProgressRate(0, at(50));
    rate.take(1000, at(40));
    expect(rate.recent(2000).stepsPerSecond).toBeUndefined();
  });

  test("times are written as people read them", () => {
    expect([0, 0.2, 59, 60, 3599, 3600, 86_399, 86_400, 90_061].map(formatSeconds)).toEqual([
      "0:00",
      "0:01",
      "0:59",
      "1:00",
      "59:59",
      "1:00:00",
      "23:59:59",
      "1d 00:00:00",
      "1d 01:01:01",
    ]);
  });
});
