import { describe, expect, test } from "bun:test";
import { RateScales } from "../../../src/train/loop/rate_scales.ts";
import { adamw, ema, muon, scheduleFreeAdamw, sgd } from "../../../src/nn/optim/optim.ts";
import { linearWarmup } from "../../../src/nn/optim/optim.ts";

function scaled(...changes: [step: number, factor: number][]): RateScales {
  const scales = new RateScales();
  for (const [step, factor] of changes) scales.multiply(step, factor);
  return scales;
}

describe("scales of the learning rates", () => {
  test("count from their step on, and multiply those before", () => {
    const scales = scaled([10, 0.5], [20, 0.1], [20, 0.1]);
    expect([0, 9, 10, 19, 20, 1000].map((step) => scales.schedule?.(step))).toEqual(
      [1, 1, 0.5, 0.5, 0.5 * 0.1 * 0.1, 0.5 * 0.1 * 0.1],
    );
    expect(scales.changes).toHaveLength(2);
    expect(new RateScales().schedule).toBeUndefined();
  });

  test("a factor that is no finite number from 0 is refused", () => {
    for (const factor of [-1, NaN, Infinity]) expect(() => scaled([0, factor])).toThrow(RangeError);
  });

  test("multiply every rate of an optimiser, those of its groups too, and nothing without a change", () => {
    const learningRate = linearWarmup(4, 0.1);
    const optimizers = [
      sgd({ learningRate, groups: [{ parameters: "a", learningRate: 0.3 }] }),
      ema(adamw({ learningRate })),
      muon({ learningRate: 0.02, adamw: { learningRate: 0.001 } }),
    ];
    const { schedule } = scaled([2, 0.5]);
    for (const optimizer of optimizers) {
      for (const step of [0, 1, 2, 7]) {
        const factor = step < 2 ? 1 : 0.5;
        const plain = optimizer.scalars(step);
        expect(plain.length).toBeGreaterThan(0);
        expect(optimizer.scalars(step, schedule)).toEqual(plain.map((rate) => rate * factor));
        expect(optimizer.learningRate?.(step)).toBe(plain[0] ?? NaN);
      }
    }
  });

  test("a point of scheduleFreeAdamw weighs by its scaled rate, wherever a run is cut", () => {
    const optimizer = scheduleFreeAdamw({ learningRate: 0.1 });
    const { schedule } = scaled([2, 0.5]);
    const share = (step: number) => optimizer.scalars(step, schedule)[1];
    const rates = [0.1, 0.1, 0.05, 0.05].map((rate) => rate ** 2);
    const sums = rates.map((_, at) => rates.slice(0, at + 1).reduce((sum, rate) => sum + rate, 0));
    const expected = rates.map((rate, at) => rate / (sums[at] ?? NaN));
    expect([0, 1, 2, 3].map(share)).toEqual(expected);
    // Asked for one step alone, back in time, and without the scale in between.
    expect([3, 0].map(share)).toEqual([expected[3], expected[0]]);
    expect(optimizer.scalars(3)[1]).toBeCloseTo(0.25, 12);
    expect(share(3)).toBe(expected[3] ?? NaN);
  });
});
