import { describe, expect, test } from "bun:test";
import { mul } from "../../../src/graph/ops/arithmetic.ts";
import { input } from "../../../src/graph/ops/sources.ts";
import { reachable } from "../../../src/graph/value.ts";
import {
  crossEntropy,
  dropout,
  flatten,
  kaimingUniform,
  type Layer,
  layerNorm,
  linear,
  mse,
  ones,
  relu,
  Scope,
  sequential,
} from "../../../src/nn/nn.ts";

function trace(layer: Layer, shape: readonly number[], isTraining = true) {
  const scope = Scope.root({ isTraining });
  const output = layer(input("x", "f32", shape), scope);
  return { output, parameters: scope.parameters.map(({ name, shape }) => [name, shape]) };
}

describe("layers", () => {
  test("linear has PyTorch's shapes and names, over the last axis", () => {
    expect(trace(linear(3, 5), [7, 3]).output.shape).toEqual([7, 5]);
    expect(trace(linear(3, 5), [7, 2, 3]).output.shape).toEqual([7, 2, 5]);
    expect(trace(linear(3, 5), [7, 3]).parameters).toEqual([["weight", [5, 3]], ["bias", [5]]]);
    expect(trace(linear(3, 5, { bias: false }), [7, 3]).parameters).toEqual([["weight", [5, 3]]]);
  });

  test("linear says what it takes when the input does not fit", () => {
    expect(() => trace(linear(784, 10), [64, 28, 28])).toThrow(
      "linear(784, 10): takes [batch, …, 784], found [64, 28, 28]; put flatten() before it or change its number of inputs",
    );
    expect(() => trace(linear(4, 10), [4])).toThrow(TypeError);
    expect(() => linear(0, 10)).toThrow(RangeError);
    expect(() => linear(4, 1.5)).toThrow("linear: the number of outputs is an integer from 1, found 1.5");
  });

  test("sequential numbers its layers from 0, as PyTorch does", () => {
    const model = sequential(flatten(), linear(4, 3), relu(), sequential(linear(3, 2)));
    const { output, parameters } = trace(model, [5, 2, 2]);
    expect(output.shape).toEqual([5, 2]);
    expect(parameters.map(([name]) => name)).toEqual(["1.weight", "1.bias", "3.0.weight", "3.0.bias"]);
    expect(() => sequential(relu(), "relu" as unknown as Layer)).toThrow("sequential: layer 1 is a function");
  });

  test("layerNorm has a weight and a bias of the last axis", () => {
    expect(trace(layerNorm(6), [2, 3, 6]).parameters).toEqual([["weight", [6]], ["bias", [6]]]);
    expect(trace(layerNorm(6), [2, 3, 6]).output.shape).toEqual([2, 3, 6]);
    expect(() => trace(layerNorm(6), [2, 5])).toThrow("layerNorm(6): takes […, 6], found [2, 5]");
  });

  test("dropout is nothing in evaluation, and refuses a rate that is none", () => {
    const x = input("x", "f32", [2, 2]);
    expect(dropout(0.5)(x, Scope.root({ isTraining: false }))).toBe(x);
    expect(dropout(0.5)(x, Scope.root({ isTraining: true }))).not.toBe(x);
    for (const rate of [-0.1, 1, NaN]) expect(() => dropout(rate)).toThrow(RangeError);
  });

  test("two dropouts of a model have two streams, the same in every trace", () => {
    const streamsOf = (): unknown[] => {
      const { output } = trace(sequential(dropout(0.5), dropout(0.5)), [2, 2]);
      return reachable([output]).filter(({ op }) => op === "randomUniform").map(({ attributes }) =>
        attributes.stream
      );
    };
    expect(streamsOf()).toEqual([0, 1]);
    expect(streamsOf()).toEqual([0, 1]);
  });

  test("a function of one's own is a layer, with parameters of its own", () => {
    const scale: Layer = (x, scope) => mul(x, scope.parameter("scale", [x.shape[1] ?? 1], ones()));
    expect(trace(sequential(scale, linear(3, 1)), [2, 3]).parameters).toEqual([
      ["0.scale", [3]],
      ["1.weight", [1, 3]],
      ["1.bias", [1]],
    ]);
  });

  test("a layer that is called again in one scope has its weights again, and another shape is refused", () => {
    const tied = linear(3, 3);
    const twice: Layer = (x, scope) => tied(tied(x, scope.child("shared")), scope.child("shared"));
    expect(trace(twice, [2, 3]).parameters.map(([name]) => name)).toEqual(["shared.weight", "shared.bias"]);
    const wrong: Layer = (x, scope) => linear(3, 4)(linear(3, 3)(x, scope), scope);
    expect(() => trace(wrong, [2, 3])).toThrow(
      'Parameter "weight" has the shape [3, 3] and is asked for again as [4, 3]',
    );
  });

  test("names have no dots and no spaces", () => {
    const scope = Scope.root({ isTraining: true });
    for (const name of ["", "a.b", "a b"]) expect(() => scope.child(name)).toThrow(TypeError);
  });

  test("kaiming and xavier need a matrix", () => {
    expect(() => kaimingUniform()([5], 0)).toThrow("needs a weight of shape [out, in, …], found rank 1");
  });
});

describe("losses", () => {
  const logits = input("x", "f32", [4, 10]);

  test("crossEntropy is one number an example", () => {
    expect(crossEntropy()(logits, input("y", "u32", [4])).value.shape).toEqual([4]);
    expect(mse()(logits, input("y", "f32", [4, 10])).value.shape).toEqual([4]);
    expect(mse()(input("x", "f32", [4]), input("y", "f32", [4])).value.shape).toEqual([4]);
  });

  test("labels that do not fit are refused with what is expected", () => {
    expect(() => mse()(logits, input("y", "f32", [4]))).toThrow("found f32 [4, 10] and f32 [4]");
  });
});
