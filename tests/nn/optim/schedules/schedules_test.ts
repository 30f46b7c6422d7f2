import { describe, expect, test } from "bun:test";
import { descriptionOf } from "../../../../src/base/description.ts";
import {
  adamw,
  constantRate,
  cosineDecay,
  cosineRestarts,
  exponentialDecay,
  linearDecay,
  linearWarmup,
  multiStepDecay,
  oneCycle,
  type OneCycleOptions,
  polynomialDecay,
  type Schedule,
  sgd,
  stepDecay,
  warmupStableDecay,
} from "../../../../src/nn/optim/optim.ts";

function rates(schedule: Schedule, count: number): number[] {
  return Array.from({ length: count }, (_, step) => schedule(step));
}

function expectNear(found: readonly number[], expected: readonly number[]): void {
  expect(found.length).toBe(expected.length);
  found.forEach((rate, step) => {
    if (!(Math.abs(rate - (expected[step] ?? NaN)) <= 1e-12)) {
      throw new Error(`Step ${step} has the rate ${rate}, and should have ${expected[step]}`);
    }
  });
}

/** The rates that `next` makes of each other, as PyTorch's schedulers go from step to step. */
function stepped(initial: number, count: number, next: (rate: number, step: number) => number): number[] {
  const all = [initial];
  while (all.length < count) all.push(next(all[all.length - 1] ?? NaN, all.length));
  return all;
}

/** `OneCycleLR.get_lr` of PyTorch 1.13, phase by phase. */
function oneCycleReference(
  peak: number,
  steps: number,
  { warmupShare = 0.3, divisor = 25, finalDivisor = 1e4, curve = "cosine" }: OneCycleOptions,
): number[] {
  const initial = peak / divisor;
  const phases = [
    { end: warmupShare * steps - 1, from: initial, to: peak },
    { end: steps - 1, from: peak, to: initial / finalDivisor },
  ];
  return Array.from({ length: steps }, (_, step) => {
    let start = 0;
    for (const [index, { end, from, to }] of phases.entries()) {
      if (step > end && index < phases.length - 1) {
        start = end;
        continue;
      }
      const share = (step - start) / (end - start);
      return curve === "linear"
        ? (to - from) * share + from
        : to + (from - to) / 2 * (1 + Math.cos(Math.PI * share));
    }
    return NaN;
  });
}

describe("schedules", () => {
  test("OT-04 constantRate is the same for ever", () => {
    expect(rates(constantRate(0.25), 3)).toEqual([0.25, 0.25, 0.25]);
  });

  test("OT-04 linearDecay and polynomialDecay of power 1 go in a line and stay", () => {
    const line = [1, 0.8, 0.6, 0.4, 0.2, 0.2, 0.2];
    expectNear(rates(linearDecay(1, 4, 0.2), 7), line);
    expectNear(rates(polynomialDecay(1, 4, { final: 0.2 }), 7), line);
  });

  test("OT-04 polynomialDecay is PyTorch's recurrence", () => {
    const next = (rate: number, step: number): number =>
      step > 8 ? rate : rate * ((1 - step / 8) / (1 - (step - 1) / 8)) ** 2.5;
    expectNear(rates(polynomialDecay(0.5, 8, { power: 2.5 }), 12), stepped(0.5, 12, next));
  });

  test("OT-04 cosineDecay goes from the first rate to the last and stays", () => {
    const rate = cosineDecay(1, 10, 0.2);
    expect(rate(0)).toBe(1);
    expect(rate(5)).toBeCloseTo(0.6, 12);
    expect(rate(10)).toBeCloseTo(0.2, 12);
    expect(rate(100)).toBeCloseTo(0.2, 12);
    // PyTorch's closed form, up to where it would rise again.
    const closed = Array.from(
      { length: 11 },
      (_, step) => 0.2 + (1 - 0.2) * (1 + Math.cos(Math.PI * step / 10)) / 2,
    );
    expectNear(rates(rate, 11), closed);
  });

  test("OT-04 cosineRestarts begins again after each cycle, each longer than the one before", () => {
    const expected: number[] = [];
    for (const length of [3, 6, 12]) {
      for (let at = 0; at < length; at++) {
        expected.push(0.1 + 0.9 * (1 + Math.cos(Math.PI * at / length)) / 2);
      }
    }
    expectNear(rates(cosineRestarts(1, 3, { growth: 2, final: 0.1 }), 21), expected);
    const same = rates(cosineRestarts(1, 3), 3);
    expectNear(rates(cosineRestarts(1, 3), 9), [...same, ...same, ...same]);
    expect(cosineRestarts(1, 1, { growth: 3 })(1_000_000)).toBeGreaterThan(0);
  });

  test("OT-04 linearWarmup rises to what comes after, whichever schedule that is", () => {
    const rate = linearWarmup(4, stepDecay(1, 10, 0.5));
    expect([0, 1, 2, 3, 4, 9, 10, 20].map(rate)).toEqual([0.25, 0.5, 0.75, 1, 1, 1, 0.5, 0.25]);
    expect(linearWarmup(2, 3)(5)).toBe(3);
    expect(rates(linearWarmup(2, linearWarmup(4, 8)), 5)).toEqual([1, 4, 6, 8, 8]);
  });

  test("OT-04 stepDecay, multiStepDecay and exponentialDecay are PyTorch's recurrences", () => {
    const at = (isDue: (step: number) => number) => (rate: number, step: number) => rate * 0.3 ** isDue(step);
    expectNear(rates(stepDecay(0.7, 3, 0.3), 12), stepped(0.7, 12, at((step) => step % 3 === 0 ? 1 : 0)));
    const milestones = [2, 5, 5, 9];
    const due = (step: number): number => milestones.filter((milestone) => milestone === step).length;
    expectNear(rates(multiStepDecay(0.7, milestones, 0.3), 12), stepped(0.7, 12, at(due)));
    expectNear(rates(exponentialDecay(0.7, 0.3), 12), stepped(0.7, 12, at(() => 1)));
  });

  test("OT-04 oneCycle has the rates of PyTorch, and stays at the last", () => {
    for (
      const options of [{}, { curve: "linear" as const, warmupShare: 0.45, divisor: 10, finalDivisor: 100 }]
    ) {
      for (const steps of [4, 10, 37, 100]) {
        expectNear(rates(oneCycle(0.1, steps, options), steps), oneCycleReference(0.1, steps, options));
      }
    }
    const last = 0.1 / 25 / 1e4;
    expect(oneCycle(0.1, 10)(1000)).toBeCloseTo(last, 15);
    // No step is left for going up.
    expect(rates(oneCycle(1, 2, { warmupShare: 0.5 }), 2).every(Number.isFinite)).toBe(true);
    expect(oneCycle(1, 1)(0)).toBeGreaterThan(0);
  });

  test("OT-04 warmupStableDecay rises, stays and falls", () => {
    const schedule = warmupStableDecay(1, { warmupSteps: 2, stableSteps: 3, decaySteps: 4, final: 0.2 });
    expectNear(rates(schedule, 12), [0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2, 0.2, 0.2]);
    const fallsAtOnce = warmupStableDecay(1, { warmupSteps: 0, stableSteps: 0, decaySteps: 2 });
    expectNear(rates(fallsAtOnce, 4), [1, 0.5, 0, 0]);
  });

  test("OT-04 any function of the step is a schedule, and is asked with the number of the step", () => {
    expect(sgd({ learningRate: (step) => step * 2 }).scalars(21)).toEqual([42]);
    expect(() => sgd({ learningRate: (step) => 3 - step }).scalars(4)).toThrow(
      "sgd: the learning rate of step 4 is a number from 0, found -1",
    );
  });

  test("OT-04 a schedule says what it is, so that a run that goes on knows another one", () => {
    const learningRate = linearWarmup(5, oneCycle(0.1, 10));
    const description = descriptionOf(adamw({ learningRate }));
    expect(description?.learningRate).toEqual({
      name: "linearWarmup",
      steps: 5,
      after: {
        name: "oneCycle",
        peak: 0.1,
        steps: 10,
        warmupShare: 0.3,
        divisor: 25,
        finalDivisor: 1e4,
        curve: "cosine",
      },
    });
  });

  test("OT-04 an invalid number of steps or rate is refused by name", () => {
    expect(() => cosineDecay(1, 0)).toThrow(RangeError);
    expect(() => linearWarmup(-1, 1)).toThrow(RangeError);
    expect(() => stepDecay(1, 1.5, 0.5)).toThrow(
      "stepDecay: the number of steps is an integer from 1, found 1.5",
    );
    expect(() => multiStepDecay(1, [3, 0], 0.5)).toThrow("multiStepDecay: the number of steps");
    expect(() => linearDecay(-1, 3)).toThrow("linearDecay: initial is a number from 0, found -1");
    expect(() => cosineRestarts(1, 3, { growth: 0.5 })).toThrow("growth is an integer from 1, found 0.5");
    expect(() => oneCycle(1, 3, { warmupShare: 1 })).toThrow("oneCycle: warmupShare");
    expect(() => oneCycle(1, 3, { curve: "bend" as "linear" })).toThrow('found "bend"');
    expect(() => warmupStableDecay(1, { warmupSteps: 1, stableSteps: -1, decaySteps: 1 })).toThrow(
      "the number of steps is an integer from 0, found -1",
    );
    expect(() => exponentialDecay(1, NaN)).toThrow("exponentialDecay: factor is a number from 0, found NaN");
  });
});
