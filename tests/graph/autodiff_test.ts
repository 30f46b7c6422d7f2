import { describe, expect, test } from "bun:test";
import { gradients } from "../../src/graph/autodiff.ts";
import { add, mul, square } from "../../src/graph/ops/arithmetic.ts";
import { cast } from "../../src/graph/ops/cast.ts";
import { customOp } from "../../src/graph/ops/custom.ts";
import { maximum, minimum, relu } from "../../src/graph/ops/piecewise.ts";
import { max } from "../../src/graph/ops/reduce.ts";
import { sum } from "../../src/graph/ops/sum.ts";
import { tanh } from "../../src/graph/ops/transcendental.ts";
import { stopGradient } from "../../src/graph/ops/views.ts";
import { constant, input, parameter } from "../../src/graph/ops/sources.ts";
import { reachable, sizeOf, type Value } from "../../src/graph/value.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { interpret } from "../helpers/interpreter.ts";
import { elementsOf, operandElements, operandValues } from "./op_case.ts";
import { OP_CASES } from "./op_cases.ts";
import type { Environment } from "./ops/op_twin.ts";
import { KNOWN_OPS } from "./ops/op_twins.ts";

/** Numbers of random ops for the host: any will do, as long as they do not change between evaluations. */
function random(_op: string, stream: number, count: number): number[] {
  return elementsOf({ shape: [count], dtype: "f32", from: 0, to: 1 }, stream);
}

/** A sum of all elements of `value`, each with a weight of its own, so that no wrong element can hide. */
function weighted(value: Value): Value {
  const weights = elementsOf({ shape: [sizeOf(value)], dtype: "f32", from: 0.5, to: 1.5 }, 99);
  return sum(mul(value, constant(HostTensor.from(weights, value.shape))));
}

/** The gradient of `loss` with respect to each element of input `name`, by central differences in float64. */
function differences(loss: Value, name: string, environment: Environment): number[] {
  const elements = Array.from(environment.inputs?.[name] ?? []);
  return elements.map((element, index) => {
    const step = 1e-5;
    const lossWith = (changed: number): number => {
      const inputs = { ...environment.inputs, [name]: elements.with(index, changed) };
      return interpret([loss], { ...environment, inputs })[0]?.[0] ?? NaN;
    };
    return (lossWith(element + step) - lossWith(element - step)) / (2 * step);
  });
}

function expectClose(found: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect(found.length).toBe(expected.length);
  for (let index = 0; index < expected.length; index++) {
    const difference = Math.abs((found[index] ?? NaN) - (expected[index] ?? NaN));
    const allowed = tolerance * (1 + Math.abs(expected[index] ?? NaN));
    if (!(difference <= allowed)) {
      throw new Error(`Element ${index} is ${found[index]}, expected ${expected[index]}`);
    }
  }
}

/** Checks the gradients of `loss` with respect to every f32 input against differences. */
function checkGradients(loss: Value, inputs: readonly Value[], environment: Environment): void {
  const floats = inputs.filter((value) => value.dtype === "f32");
  const found = interpret(gradients(loss, floats), environment);
  floats.forEach((value, index) => {
    const { name } = value.attributes as { name: string };
    expectClose(found[index] ?? [], differences(loss, name, environment), 1e-7);
  });
}

describe("gradients against central differences in float64", () => {
  for (const opCase of OP_CASES) {
    test(opCase.name, () => {
      const operands = operandValues(opCase);
      const environment = { inputs: operandElements(opCase), scalars: [1, 2, 3], random };
      checkGradients(weighted(opCase.build(operands)), operands, environment);
    });
  }

  const SECOND_ORDER = [
    ...[
      "div by a column",
      "tanh",
      "sigmoid",
      "log",
      "rsqrt",
      "where",
      "expm1",
      "log1p",
      "softplus",
      "erf",
      "atan2",
    ],
    ...["silu", "mish", "gelu", "gelu by tanh", "elu", "softmax", "logSoftmax over the first axis"],
    ...[
      "mean of everything",
      "prod of everything",
      "variance",
      "norm",
      "norm of order 3",
      "logSumExp",
      "cumsum",
    ],
    ...["matmul with B transposed", "batched matmul with leading axes that broadcast", "einsum of heads"],
    ...[
      "slice with a step",
      "pad by reflection",
      "concat",
      "flip",
      "take",
      "takeAlongAxis that broadcasts",
      "sort",
    ],
    ...["scatter that adds up", "scatter of rows", "softmaxCrossEntropy"],
    ...["OP-10 layerNorm", "OP-10 rmsNorm", "OP-10 groupNorm of planes", "OP-10 batchNorm of planes"],
    ...["OP-10 layerNorm with a bias alone", "OP-10 batchNorm by other statistics"],
  ];
  for (const name of SECOND_ORDER) {
    test(`gradients of the gradients of ${name}`, () => {
      const opCase = OP_CASES.find((candidate) => candidate.name === name);
      if (opCase === undefined) throw new Error(`There is no case "${name}"`);
      const operands = operandValues(opCase);
      const environment = { inputs: operandElements(opCase), scalars: [1, 2, 3], random };
      const floats = operands.filter((value) => value.dtype === "f32");
      const first = gradients(weighted(square(opCase.build(operands))), floats);
      checkGradients(first.map(weighted).reduce((total, term) => add(total, term)), operands, environment);
    });
  }

  test("every op that the interpreter knows is in a case, or is tested by itself", () => {
    const covered = new Set(["parameter", "custom"]);
    for (const opCase of OP_CASES) {
      const operands = operandValues(opCase);
      const result = opCase.build(operands);
      const floats = operands.filter((value) => value.dtype === "f32");
      const values = result.dtype === "f32" ? gradients(weighted(result), floats) : [];
      for (const value of reachable([result, ...values])) covered.add(value.op);
    }
    expect(KNOWN_OPS.filter((name) => !covered.has(name))).toEqual([]);
  });

  test("op names are unique", () => {
    expect(new Set(KNOWN_OPS).size).toBe(KNOWN_OPS.length);
  });
});

describe("autodiff", () => {
  const x = input("x", "f32", [3]);
  const at = (values: readonly number[]): Environment => ({ inputs: { x: values } });

  test("a value that the loss does not depend on has zeros as its gradient", () => {
    const unused = parameter("unused", "f32", [2, 2]);
    const [gradient] = gradients(sum(x), [unused]);
    expect(gradient?.shape).toEqual([2, 2]);
    expect(interpret(gradient === undefined ? [] : [gradient], {})).toEqual([new Float64Array(4)]);
  });

  test("the loss has the gradient 1 with respect to itself", () => {
    const loss = sum(x);
    expect(interpret(gradients(loss, [loss]), at([1, 2, 3]))).toEqual([Float64Array.of(1)]);
  });

  test("a value used twice gets the sum of both gradients", () => {
    const loss = sum(add(square(x), mul(x, 3)));
    expect(interpret(gradients(loss, [x]), at([1, 2, -1]))).toEqual([Float64Array.of(5, 7, 1)]);
  });

  test("gradients with respect to values in the middle are there too", () => {
    const middle = square(x);
    expect(interpret(gradients(sum(mul(middle, 2)), [middle, x]), at([1, 2, 3]))).toEqual([
      Float64Array.of(2, 2, 2),
      Float64Array.of(4, 8, 12),
    ]);
  });

  test("no gradient flows through stopGradient", () => {
    const loss = sum(mul(stopGradient(square(x)), x));
    expect(interpret(gradients(loss, [x]), at([1, 2, 3]))).toEqual([Float64Array.of(1, 4, 9)]);
  });

  test("no gradient flows through integers", () => {
    expect(interpret(gradients(sum(cast(cast(x, "i32"), "f32")), [x]), at([1, 2, 3]))).toEqual([
      new Float64Array(3),
    ]);
  });

  test("equal largest elements share the gradient of max evenly", () => {
    expect(interpret(gradients(max(x), [x]), at([2, 5, 5]))).toEqual([Float64Array.of(0, 0.5, 0.5)]);
  });

  test("equal operands of maximum and minimum get half the gradient each", () => {
    const y = input("y", "f32", [3]);
    const environment = { inputs: { x: [1, 2, 3], y: [2, 2, 2] } };
    expect(interpret(gradients(sum(maximum(x, y)), [x, y]), environment)).toEqual([
      Float64Array.of(0, 0.5, 1),
      Float64Array.of(1, 0.5, 0),
    ]);
    expect(interpret(gradients(sum(minimum(x, y)), [x, y]), environment)).toEqual([
      Float64Array.of(1, 0.5, 0),
      Float64Array.of(0, 0.5, 1),
    ]);
  });

  test("relu has the gradient 0 at 0", () => {
    expect(interpret(gradients(sum(relu(x)), [x]), at([-1, 0, 1]))).toEqual([Float64Array.of(0, 0, 1)]);
  });

  test("a half-precision value has an f32 gradient", () => {
    const half = input("half", "f16", [2]);
    const [gradient] = gradients(sum(square(cast(half, "f32"))), [half]);
    expect(gradient?.dtype).toBe("f32");
  });

  test("a loss of several elements is refused", () => {
    expect(() => gradients(square(x), [x])).toThrow(
      "gradients: the loss is one f32, not f32 of shape [3]; take its sum or mean",
    );
  });

  test("the same model traced twice has the same gradient graph", () => {
    const trace = (): string => {
      const y = input("y", "f32", [3]);
      const values = reachable(gradients(sum(tanh(mul(y, tanh(y)))), [y]));
      const number = new Map(values.map((value, index) => [value, index]));
      return values.map((value) => `${value.op} ${value.inputs.map((from) => number.get(from)).join(" ")}`)
        .join("\n");
    };
    expect(trace()).toBe(trace());
  });
});

describe("gradients of custom ops", () => {
  const x = input("x", "f32", [2]);
  const cube = { name: "cube", inputs: [x], outputShape: [2], wgsl: "", workgroups: [1, 1, 1] } as const;
  const environment = {
    inputs: { x: [2, 3] },
    custom: { cube: ([a]: readonly Float64Array[]) => a?.map((e) => e ** 3) ?? [] },
  };

  test("are what the user's function says", () => {
    const output = customOp({ ...cube, gradient: (outGrad, [a]) => [a && mul(outGrad, mul(square(a), 3))] });
    checkGradients(weighted(output), [x], environment);
  });

  test("a custom op without a gradient is refused by name", () => {
    expect(() => gradients(sum(customOp(cube)), [x])).toThrow(
      "cube: the custom op has no gradient; give it one",
    );
  });

  test("a custom op without a gradient may stand beside the path of the gradient", () => {
    const loss = sum(mul(stopGradient(customOp(cube)), x));
    expect(interpret(gradients(loss, [x]), environment)).toEqual([Float64Array.of(8, 27)]);
  });

  test("a gradient of the wrong shape is refused with both shapes", () => {
    const output = customOp({ ...cube, gradient: (outGrad) => [sum(outGrad)] });
    expect(() => gradients(sum(output), [x])).toThrow(
      'custom "cube": the gradient of input 0 is f32 of shape []; it has to be f32 of shape [2]',
    );
  });

  test("too few gradients are refused", () => {
    const output = customOp({ ...cube, gradient: () => [] });
    expect(() => gradients(sum(output), [x])).toThrow(
      "cube: the gradient function gave 0 gradients for 1 inputs",
    );
  });
});
