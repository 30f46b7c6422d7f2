import { describe, expect, test } from "bun:test";
import {
  adadelta,
  adagrad,
  adam,
  adamax,
  adamw,
  lamb,
  lion,
  muon,
  type Optimizer,
  rmsprop,
  sgd,
} from "../../../src/nn/optim/optim.ts";

/** What an optimiser keeps for each parameter. */
function slotsOf(optimizer: Optimizer): readonly string[] {
  return optimizer.rulesFor([{ name: "weight", shape: [2, 2] }])[0]?.slots ?? [];
}

describe("optimizers", () => {
  test("OT-01 each keeps the tensors that it needs and no others", () => {
    expect(slotsOf(sgd({ learningRate: 0.1 }))).toEqual([]);
    expect(slotsOf(sgd({ learningRate: 0.1, momentum: 0.9 }))).toEqual(["momentum"]);
    expect(slotsOf(adam())).toEqual(["m", "v"]);
    expect(slotsOf(adamw())).toEqual(["m", "v"]);
    expect(slotsOf(adamax())).toEqual(["m", "norm"]);
    expect(slotsOf(adagrad())).toEqual(["sum"]);
    expect(slotsOf(adadelta())).toEqual(["square_average", "delta_average"]);
    expect(slotsOf(rmsprop())).toEqual(["square_average"]);
    expect(slotsOf(rmsprop({ centered: true, momentum: 0.9 }))).toEqual([
      "square_average",
      "gradient_average",
      "momentum",
    ]);
    expect(slotsOf(lion())).toEqual(["m"]);
    expect(slotsOf(lamb())).toEqual(["m", "v"]);
    expect(slotsOf(muon())).toEqual(["momentum"]);
  });

  test("OT-01 each has the rate of PyTorch or of its authors unless it is given one", () => {
    const rates = [adam(), adamw(), adamax(), adagrad(), adadelta(), rmsprop(), lion(), lamb(), muon()].map((
      each,
    ) => each.scalars(7));
    expect(rates).toEqual([[1e-3], [1e-3], [2e-3], [0.01], [1], [0.01], [1e-4], [1e-3], [0.02, 1e-3]]);
    expect(adamw({ learningRate: 0.1 }).scalars(2)).toEqual([0.1]);
    expect(() => sgd({})).toThrow("sgd: needs a learningRate, such as 0.1");
  });

  test("OT-01 decays are corrected by the number of updates where the paper says so", () => {
    expect(adamw({ beta1: 0.8 }).decays).toEqual([0.8, 0.999]);
    expect(adamax({ beta1: 0.8 }).decays).toEqual([0.8]);
    expect(sgd({ learningRate: 0.1, momentum: 0.9 }).decays).toEqual([]);
  });

  test("OT-01 invalid numbers are refused by name", () => {
    expect(() => sgd({ learningRate: -1 })).toThrow("sgd: learningRate is a number from 0, found -1");
    expect(() => sgd({ learningRate: NaN })).toThrow(RangeError);
    expect(() => sgd({ learningRate: 1, momentum: 1 })).toThrow(
      "sgd: momentum is a number from 0 to below 1, found 1",
    );
    expect(() => sgd({ learningRate: 1, nesterov: true })).toThrow("nesterov needs a momentum");
    expect(() => sgd({ learningRate: 1, momentum: 0.9, nesterov: true, dampening: 0.1 })).toThrow(
      "no dampening",
    );
    expect(() => adamw({ beta2: 1 })).toThrow(RangeError);
    expect(() => adamw({ weightDecay: -1 })).toThrow("adamw: weightDecay is a number from 0, found -1");
    expect(() => adam({ epsilon: 0 })).toThrow("adam: epsilon is a number from");
    expect(() => adamax({ beta1: NaN })).toThrow("adamax: beta1");
    expect(() => adagrad({ learningRateDecay: -1 })).toThrow("adagrad: learningRateDecay");
    expect(() => adadelta({ rho: 1 })).toThrow("adadelta: rho");
    expect(() => rmsprop({ alpha: 2 })).toThrow("rmsprop: alpha");
    expect(() => lion({ beta2: -0.1 })).toThrow("lion: beta2");
  });
});
