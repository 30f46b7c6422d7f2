import { describe, expect, test } from "bun:test";
import { adamw, sgd } from "../../../src/nn/optim/optim.ts";

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
