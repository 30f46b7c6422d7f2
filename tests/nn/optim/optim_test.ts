import { describe, expect, test } from "bun:test";
import { adamw, cosineDecay, linearWarmup, sgd, stepDecay } from "../../../src/nn/optim/optim.ts";

describe("optimizers", () => {
  test("sgd keeps a tensor only for its momentum", () => {
    expect(sgd({ learningRate: 0.1 }).slots).toEqual([]);
    expect(sgd({ learningRate: 0.1, momentum: 0.9 }).slots).toEqual(["momentum"]);
    expect(sgd({ learningRate: 0.1 }).scalars(7)).toEqual([0.1]);
  });

  test("adamw gives the rate of a step, and the decays that are corrected by the number of updates", () => {
    expect(adamw({ learningRate: 0.1 }).scalars(2)).toEqual([0.1]);
    expect(adamw({ learningRate: 0.1, beta1: 0.8 }).decays).toEqual([0.8, 0.999]);
    expect(adamw({ learningRate: 0.1 }).slots).toEqual(["m", "v"]);
    expect(sgd({ learningRate: 0.1, momentum: 0.9 }).decays).toEqual([]);
  });

  test("a schedule is asked with the number of the step", () => {
    expect(sgd({ learningRate: (step) => step * 2 }).scalars(21)).toEqual([42]);
  });

  test("numbers that are none are refused by name", () => {
    expect(() => sgd({ learningRate: -1 })).toThrow("sgd: learningRate is a number from 0, found -1");
    expect(() => sgd({ learningRate: NaN })).toThrow(RangeError);
    expect(() => sgd({ learningRate: 1, momentum: 1 })).toThrow(
      "sgd: momentum is a number from 0 to below 1, found 1",
    );
    expect(() => sgd({ learningRate: 1, nesterov: true })).toThrow("nesterov needs a momentum");
    expect(() => adamw({ learningRate: 1, beta2: 1 })).toThrow(RangeError);
    expect(() => adamw({ learningRate: 1, weightDecay: -1 })).toThrow(RangeError);
  });
});

describe("schedules", () => {
  test("cosineDecay goes from the first rate to the last and stays", () => {
    const rate = cosineDecay(1, 10, 0.2);
    expect(rate(0)).toBe(1);
    expect(rate(5)).toBeCloseTo(0.6, 12);
    expect(rate(10)).toBeCloseTo(0.2, 12);
    expect(rate(100)).toBeCloseTo(0.2, 12);
  });

  test("linearWarmup rises to what comes after", () => {
    const rate = linearWarmup(4, stepDecay(1, 10, 0.5));
    expect([0, 1, 2, 3, 4, 9, 10, 20].map(rate)).toEqual([0.25, 0.5, 0.75, 1, 1, 1, 0.5, 0.25]);
    expect(linearWarmup(2, 3)(5)).toBe(3);
  });

  test("a number of steps that is none is refused", () => {
    expect(() => cosineDecay(1, 0)).toThrow(RangeError);
    expect(() => linearWarmup(-1, 1)).toThrow(RangeError);
    expect(() => stepDecay(1, 1.5, 0.5)).toThrow(
      "stepDecay: the number of steps is an integer from 1, found 1.5",
    );
  });
});
