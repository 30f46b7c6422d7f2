import { describe, expect, test } from "bun:test";
import { mul } from "../../src/graph/ops/arithmetic.ts";
import { matmul } from "../../src/graph/ops/matmul.ts";
import { input } from "../../src/graph/ops/sources.ts";
import type { Value } from "../../src/graph/value.ts";
import {
  dropout,
  type Layer,
  layer,
  layerNorm,
  linear,
  ones,
  relu,
  Scope,
  sequential,
  zeros,
} from "../../src/nn/nn.ts";

const SHAPE = [2, 3];

function namesOf(model: Layer, isTraining = true): string[] {
  const scope = Scope.root({ isTraining });
  model(input("x", "f32", SHAPE), scope);
  return scope.parameters.map(({ name }) => name);
}

/** A plain function, which Cairn cannot know when it is called again. */
const plain: Layer = (x, scope) => mul(x, scope.parameter("scale", [3], ones()));

describe("a name that is taken twice in one scope", () => {
  const refused: [string, Layer][] = [
    ["two layers", (x, scope) => linear(3, 3)(linear(3, 3)(x, scope), scope)],
    [
      "two layers of two kinds with one shape",
      (x, scope) => layerNorm(3)(layer(plainWeight)(x, scope), scope),
    ],
    ["a plain function, called twice", (x, scope) => plain(plain(x, scope), scope)],
    [
      "two layers in the same child",
      (x, scope) => linear(3, 3)(linear(3, 3)(x, scope.child("a")), scope.child("a")),
    ],
    [
      "two sequential models",
      (x, scope) => sequential(linear(3, 3))(sequential(linear(3, 3))(x, scope), scope),
    ],
    [
      "one layer that asks twice",
      layer((x, scope) => {
        scope.parameter("scale", [3], ones());
        return mul(x, scope.parameter("scale", [3], ones()));
      }),
    ],
    ["a shared name that is taken again without saying so", (x, scope) => {
      scope.shared("scale", [3], ones());
      return plain(x, scope);
    }],
    ["two layers inside of a layer", layer((x, scope) => linear(3, 3)(linear(3, 3)(x, scope), scope))],
  ];
  for (const [what, model] of refused) {
    test(`is refused: ${what}`, () => {
      expect(() => namesOf(model)).toThrow(
        /^Parameter ".*" is taken: .*scope\.child\("a"\).*scope\.shared\(/,
      );
      expect(() => namesOf(model)).toThrow(TypeError);
    });
  }
});

function plainWeight(x: Value, scope: Scope): Value {
  return mul(x, scope.parameter("weight", [3], ones()));
}

describe("a layer that is called again in one scope", () => {
  const shared: [string, Layer, string[]][] = [
    ["a layer", twice(linear(3, 3)), ["weight", "bias"]],
    ["a layer with a norm", twice(layerNorm(3)), ["weight", "bias"]],
    ["a sequential model", twice(sequential(linear(3, 3), relu(), linear(3, 3))), [
      "0.weight",
      "0.bias",
      "2.weight",
      "2.bias",
    ]],
    ["a sequential model with a plain function in it", twice(sequential(plain, relu())), ["0.scale"]],
    ["a layer of one's own", twice(layer(plain)), ["scale"]],
    [
      "a layer of one's own that makes its layers anew",
      twice(layer((x, scope) => linear(3, 3)(x, scope.child("fc")))),
      [
        "fc.weight",
        "fc.bias",
      ],
    ],
    ["a residual block", twice(layer((x, scope) => mul(x, linear(3, 3)(x, scope)))), ["weight", "bias"]],
  ];
  for (const [what, model, names] of shared) {
    test(`has its parameters again: ${what}`, () => {
      expect(namesOf(model)).toEqual(names);
      // Another trace of the same model has nothing to do with the first.
      expect(namesOf(model, false)).toEqual(names);
    });
  }

  test("has the very same value, so that both uses add to its gradient", () => {
    const scope = Scope.root({ isTraining: true });
    const values: Value[] = [];
    const scaled = layer((x, inner) => {
      values.push(inner.parameter("scale", [3], ones()));
      return x;
    });
    scaled(scaled(input("x", "f32", SHAPE), scope), scope);
    expect(values[0]).toBe(values[1] as Value);
  });

  test("has weights of its own in another scope, as each place of sequential() is one", () => {
    const one = linear(3, 3, { bias: false });
    expect(namesOf(sequential(one, relu(), one))).toEqual(["0.weight", "2.weight"]);
  });

  test("drops anew at each call", () => {
    const scope = Scope.root({ isTraining: true });
    const half = dropout(0.5);
    half(half(input("x", "f32", SHAPE), scope), scope);
    expect(scope.randomStream()).toBe(2);
  });
});

function twice(inner: Layer): Layer {
  return (x, scope) => inner(inner(x, scope), scope);
}

describe("Scope.shared", () => {
  test("ties by name: an embedding that is also the output's", () => {
    const scope = Scope.root({ isTraining: true });
    const model: Layer = (x, at) => {
      const table = at.shared("embedding", [3, 3], zeros());
      const output = layer((y, inner) =>
        matmul(y, inner.shared("embedding", [3, 3], zeros()), { transposeB: true })
      );
      return output(matmul(x, table), at);
    };
    model(input("x", "f32", SHAPE), scope);
    expect(scope.parameters.map(({ name }) => name)).toEqual(["embedding"]);
  });

  test("ties to what another layer took, and refuses another shape", () => {
    const scope = Scope.root({ isTraining: true });
    linear(3, 3)(input("x", "f32", SHAPE), scope);
    expect(scope.shared("weight", [3, 3], zeros())).toBe(scope.parameters[0]?.value as Value);
    expect(() => scope.shared("weight", [3, 4], zeros())).toThrow("has the shape [3, 3]");
  });
});

describe("layer", () => {
  test("says what is missing when it is not given a scope, or no function", () => {
    expect(() => linear(3, 3)(input("x", "f32", SHAPE), undefined as unknown as Scope)).toThrow(
      new TypeError("A layer is called with (x, scope), found undefined for the scope; pass the model's"),
    );
    expect(() => layer(linear as unknown as Layer)).not.toThrow();
    expect(() => layer(3 as unknown as Layer)).toThrow(
      "layer() takes a function (x, scope) => value, found a number",
    );
  });
});
