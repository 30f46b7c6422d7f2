import { describe, expect, test } from "bun:test";
import { gradients } from "../../../../src/graph/autodiff.ts";
import { Executable } from "../../../../src/graph/executable.ts";
import { add, mul, square } from "../../../../src/graph/ops/arithmetic.ts";
import { customOp } from "../../../../src/graph/ops/custom.ts";
import { customGradient } from "../../../../src/graph/ops/gradients/custom_gradient.ts";
import { remat } from "../../../../src/graph/ops/gradients/remat.ts";
import { matmul } from "../../../../src/graph/ops/matmul.ts";
import { dropout } from "../../../../src/graph/ops/random.ts";
import { softmax } from "../../../../src/graph/ops/softmax.ts";
import { input } from "../../../../src/graph/ops/sources.ts";
import { sum } from "../../../../src/graph/ops/sum.ts";
import { exp, tanh } from "../../../../src/graph/ops/transcendental.ts";
import { stopGradient } from "../../../../src/graph/ops/views.ts";
import { reachable, type Value } from "../../../../src/graph/value.ts";
import type { HostTensor } from "../../../../src/tensor/host_tensor.ts";
import { gpuTest } from "../../../helpers/gpu.ts";
import { interpret } from "../../../helpers/interpreter.ts";
import { inputsOf, noParameters, runValues } from "../../run_values.ts";

const [ROWS, WIDTH, BLOCKS] = [16, 64, 6];

/** A stack of blocks, each with several large values inside, and the gradients of its input and its weight. */
function stack(wrap: (block: (x: Value) => Value) => (x: Value) => Value): Value[] {
  const [x, weight] = [input("x", "f32", [ROWS, WIDTH]), input("w", "f32", [WIDTH, WIDTH])];
  const block = (stream: number) => (value: Value): Value => {
    const weights = softmax(matmul(value, weight), { axis: 1 });
    const dropped = dropout(tanh(matmul(weights, weight)), { rate: 0.25, stream });
    return add(value, matmul(dropped, weight));
  };
  let value: Value = x;
  for (let number = 0; number < BLOCKS; number++) value = wrap(block(number))(value);
  const loss = sum(square(value));
  return [loss, ...gradients(loss, [x, weight])];
}

const ELEMENTS = {
  x: Array.from({ length: ROWS * WIDTH }, (_, at) => Math.fround(Math.sin(at))),
  w: Array.from({ length: WIDTH * WIDTH }, (_, at) => Math.fround(0.3 * Math.cos(at * 0.9))),
};

/** How many bytes of each tensor are not those of the other list. */
function differencesFrom(expected: readonly HostTensor[]): (found: HostTensor, index: number) => number {
  return ({ bytes }, index) => bytes.filter((byte, at) => byte !== expected[index]?.bytes[at]).length;
}

describe("OP-12 remat", () => {
  gpuTest("OP-12 remat gives the same bits, those of dropout too", async (gpu) => {
    const [plain, again] = [stack((block) => block), stack((block) => remat(block))];
    const [expected, found] = [await runValues(gpu, plain, ELEMENTS), await runValues(gpu, again, ELEMENTS)];
    expect(found.map(differencesFrom(expected))).toEqual([0, 0, 0]);
  });

  gpuTest("OP-12 remat needs less memory in the plan, and computes each function once more", async (gpu) => {
    const statsOf = async (values: readonly Value[]) => {
      const outputs = Object.fromEntries(values.map((value, index) => [`${index}`, value]));
      const executable = await Executable.compile(gpu, {
        inputs: inputsOf(values),
        outputs,
        parameters: noParameters,
      });
      executable.close();
      return executable.stats;
    };
    const plain = await statsOf(stack((block) => block));
    const again = await statsOf(stack((block) => remat(block)));
    // Without it every block keeps its inner values until the way back; with it one block at a time does.
    const value = ROWS * WIDTH * 4;
    expect(plain.workspaceBytes - again.workspaceBytes).toBeGreaterThanOrEqual(2 * (BLOCKS - 2) * value);
    expect(again.dispatches).toBeGreaterThan(plain.dispatches);
  });

  test("OP-12 remat computes nothing again where nothing is asked for", () => {
    const x = input("x", "f32", [3]);
    let calls = 0;
    const twice = remat((value: Value) => {
      calls += 1;
      return mul(exp(value), 2);
    });
    const y = twice(x);
    expect(calls).toBe(1);
    expect(reachable([y]).filter(({ op }) => op === "exp")).toHaveLength(1);
    const [gradient = y] = gradients(sum(y), [x]);
    expect(calls).toBe(1);
    expect(reachable([y, gradient]).filter(({ op }) => op === "exp")).toHaveLength(2);
    // What a function hands through is not computed.
    expect(remat((value: Value) => value)(x)).toBe(x);
  });

  test("OP-12 gradients of gradients flow through remat", () => {
    const x = input("x", "f32", [2]);
    const y = remat((value: Value) => mul(square(value), value))(x);
    const [first = y] = gradients(sum(y), [x]);
    const [second = y] = gradients(sum(square(first)), [x]);
    // (x³)' = 3x², ((3x²)²)' = 36x³.
    expect(interpret([first, second], { inputs: { x: [1, 2] } })).toEqual([
      Float64Array.of(3, 12),
      Float64Array.of(36, 288),
    ]);
  });

  test("OP-12 an op without a gradient is no matter where none of it is needed", () => {
    const [x, y] = [input("x", "f32", [2]), input("y", "f32", [2])];
    const cube = customOp({ name: "cube", inputs: [y], outputShape: [2], wgsl: "", workgroups: [1, 1, 1] });
    const result = remat((a: Value, b: Value) => mul(a, add(b, cube)))(x, y);
    const environment = {
      inputs: { x: [2, 3], y: [1, 2] },
      custom: { cube: ([a]: readonly Float64Array[]) => a?.map((each) => each ** 3) ?? [] },
    };
    expect(interpret(gradients(sum(result), [x]), environment)).toEqual([Float64Array.of(2, 10)]);
    expect(() => gradients(sum(result), [y])).toThrow("cube: the custom op has no gradient");
  });

  test("OP-12 no gradient flows through stopGradient inside of remat", () => {
    const x = input("x", "f32", [2]);
    const result = remat((a: Value) => mul(stopGradient(square(a)), a))(x);
    expect(interpret(gradients(sum(result), [x]), { inputs: { x: [2, 3] } })).toEqual([
      Float64Array.of(4, 9),
    ]);
  });

  test("OP-12 what is no function, and what gives no value, is refused", () => {
    const x = input("x", "f32", [2]);
    expect(() => remat(exp(x) as never)).toThrow("remat: takes a function of values, found an object");
    expect(() => remat((() => undefined) as never)(x)).toThrow(
      "remat: the function gives undefined, expected one value",
    );
  });
});

describe("OP-12 customGradient", () => {
  const x = input("x", "f32", [3]);

  test("OP-12 customGradient is what its function says, also where the value has none", () => {
    const rounded = customGradient(
      (value: Value) => stopGradient(square(value)),
      (outGrad) => [mul(outGrad, 7)],
    );
    const found = interpret([rounded(x), ...gradients(sum(rounded(x)), [x])], { inputs: { x: [1, 2, 3] } });
    expect(found).toEqual([Float64Array.of(1, 4, 9), Float64Array.of(7, 7, 7)]);
  });

  test("OP-12 customGradient has the inputs and the result at hand, and may stop the gradient of one", () => {
    const y = input("y", "f32", [3]);
    const product = customGradient(
      (a: Value, b: Value) => mul(a, b),
      (outGrad, [, b], output) => [mul(mul(outGrad, output), b ?? outGrad), undefined],
    );
    const found = interpret(gradients(sum(product(x, y)), [x, y]), {
      inputs: { x: [1, 2, 3], y: [2, 2, 2] },
    });
    expect(found).toEqual([Float64Array.of(4, 8, 12), Float64Array.of(0, 0, 0)]);
  });

  test("OP-12 a gradient that does not fit is refused with both shapes, and too few are", () => {
    const wrong = customGradient((value: Value) => exp(value), (outGrad) => [sum(outGrad)]);
    expect(() => gradients(sum(wrong(x)), [x])).toThrow(
      "customGradient: the gradient of input 1 is f32 of shape []; it has to be f32 of shape [3]",
    );
    const none = customGradient((value: Value) => exp(value), () => []);
    expect(() => gradients(sum(none(x)), [x])).toThrow(
      "customGradient: the gradient function gave 0 gradients for 1",
    );
    expect(() => customGradient(exp, undefined as never)).toThrow(
      "customGradient: takes a function of values and one",
    );
  });
});
