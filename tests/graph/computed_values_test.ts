import { describe, expect } from "bun:test";
import { CairnError } from "../../src/base/errors.ts";
import { Executable } from "../../src/graph/executable.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { mul } from "../../src/graph/ops/arithmetic.ts";
import { cast } from "../../src/graph/ops/cast.ts";
import { matmul } from "../../src/graph/ops/matmul.ts";
import { relu } from "../../src/graph/ops/piecewise.ts";
import { randomNormal, randomUniform } from "../../src/graph/ops/random.ts";
import { max, mean } from "../../src/graph/ops/reduce.ts";
import { softmaxCrossEntropy } from "../../src/graph/ops/softmax_cross_entropy.ts";
import { sum } from "../../src/graph/ops/sum.ts";
import { exp, tanh } from "../../src/graph/ops/transcendental.ts";
import { transpose } from "../../src/graph/ops/views.ts";
import type { Program } from "../../src/graph/program.ts";
import { constant, input } from "../../src/graph/ops/sources.ts";
import type { Value } from "../../src/graph/value.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { interpret } from "../helpers/interpreter.ts";
import { expectFailure, failureOf, numbers, withExecutable } from "./executable_helpers.ts";
import { expectNear, noParameters, runValues } from "./run_values.ts";

describe("what a program is computed with", () => {
  gpuTest("half, byte and bool inputs are unpacked where they are cast, at odd sizes too", async (gpu) => {
    const inputs = (["f16", "bf16", "u8", "bool"] as const).map((dtype) => input(dtype, dtype, [3]));
    const outputs = Object.fromEntries(inputs.map((value) => [value.dtype, mul(cast(value, "f32"), 2)]));
    await withExecutable(gpu, { inputs, outputs, parameters: noParameters }, async (executable) => {
      executable.run({
        f16: HostTensor.from([1.5, -2, 65504], [3], "f16"),
        bf16: HostTensor.from([1.5, -2, 256], [3], "bf16"),
        u8: Uint8Array.of(0, 7, 255),
        bool: HostTensor.from([true, false, true]),
      });
      const found = await executable.read("f16", "bf16", "u8", "bool");
      [[3, -4, 131008], [3, -4, 512], [0, 14, 510], [2, 0, 2]].forEach((expected, index) =>
        expectNear(found[index]?.toArray() ?? [], expected, 0)
      );
    });
  });

  gpuTest("values without elements need no work", async (gpu) => {
    const empty = input("empty", "f32", [0, 3]);
    const wide = input("wide", "f32", [3, 0]);
    const outputs = [
      mul(empty, 2),
      sum(empty, { axes: 0 }),
      matmul(wide, empty),
      transpose(empty),
      sum(empty),
    ];
    const found = await runValues(gpu, outputs, { empty: [], wide: [] });
    expect(found.map(({ shape }) => shape)).toEqual([[0, 3], [3], [3, 3], [3, 0], []]);
    expectNear(found[1]?.toArray() ?? [], [0, 0, 0], 0);
    expectNear(found[2]?.toArray() ?? [], new Array(9).fill(0), 0);
    expectNear(found[4]?.toArray() ?? [], [0], 0);
  });

  gpuTest("gradients that are taken twice are the same twice", async (gpu) => {
    const [logits, labels] = [input("logits", "f32", [3, 5]), input("labels", "u32", [3])];
    const loss = mean(softmaxCrossEntropy(logits, labels));
    const twice = [...gradients(loss, [logits]), ...gradients(loss, [logits])];
    const elements = { logits: numbers(15, 8), labels: [4, 0, 2] };
    const found = await runValues(gpu, twice, elements);
    const expected = interpret(twice, { inputs: elements });
    twice.forEach((_, index) => expectNear(found[index]?.toArray() ?? [], expected[index] ?? [], 1e-5));
  });

  gpuTest("NaN and infinity come through as in float64", async (gpu) => {
    const a = input("a", "f32", [2, 3]);
    const values = [relu(a), max(a, { axes: 1 }), sum(a, { axes: 1 }), exp(a), mul(a, 2)];
    const elements = { a: [NaN, 1, 2, Infinity, -Infinity, 3] };
    const found = await runValues(gpu, values, elements);
    const expected = interpret(values, { inputs: elements });
    values.forEach((_, index) => expectNear(found[index]?.toArray() ?? [], expected[index] ?? [], 1e-5));
  });

  gpuTest("a deep network takes the memory of its widest place, not of all its layers", async (gpu) => {
    const x = input("x", "f32", [64, 64]);
    const weight = input("weight", "f32", [64, 64]);
    const deep = Array.from({ length: 12 }).reduce<Value>((value) => tanh(matmul(value, weight)), x);
    await withExecutable(
      gpu,
      { inputs: [x, weight], outputs: { deep }, parameters: noParameters },
      (executable) => {
        expect(executable.stats.dispatches).toBe(24);
        expect(executable.stats.workspaceBytes).toBeLessThanOrEqual(5 * 64 * 64 * 4);
      },
    );
  });

  gpuTest("kernel variants are chosen once and can be pinned", async (gpu) => {
    const [a, b] = [input("a", "f32", [3, 5]), input("b", "f32", [5, 2])];
    const elements = { a: numbers(15, 1), b: numbers(10, 2) };
    const chosen = new Map<string, string>();
    await runValues(gpu, [matmul(a, b)], elements, chosen);
    expect(chosen.get("matmul")).toBe(gpu.isCpuAdapter ? "packed" : "workgroup");
    const expected = interpret([matmul(a, b)], { inputs: elements })[0] ?? [];
    for (const variant of ["packed", "register", "workgroup"]) {
      const [found] = await runValues(gpu, [matmul(a, b)], elements, new Map([["matmul", variant]]));
      expectNear(found?.toArray() ?? [], expected, 1e-5);
    }
    const error = await failureOf(() =>
      runValues(gpu, [matmul(a, b)], elements, new Map([["matmul", "magic"]]))
    );
    expect((error as CairnError).code).toBe("unsupported");
    expect((error as CairnError).message).toBe(
      'There is no variant "magic" of kernel "matmul"; this version has packed, register, workgroup, thinPacked, thinWorkgroup',
    );
  });
});

describe("random ops in a program", () => {
  const values = [randomUniform([1000], { stream: 1 }), randomNormal([1000], { stream: 2 })];
  const program: Program = {
    inputs: [],
    outputs: { uniform: values[0] ?? constant(0), normal: values[1] ?? constant(0) },
    parameters: noParameters,
  };

  gpuTest("are a pure function of seed, step and stream", async (gpu) => {
    await withExecutable(gpu, program, async (executable) => {
      const draw = async (seed: number, step: number): Promise<HostTensor[]> => {
        executable.run({}, { seed, step, values: [] });
        return await executable.read("uniform", "normal");
      };
      const first = await draw(1, 1);
      const others = [await draw(1, 2), await draw(2, 1)];
      const again = await draw(1, 1);
      first.forEach((tensor, index) => {
        expect(again[index]?.equals(tensor)).toBe(true);
        for (const other of others) expect(other[index]?.equals(tensor)).toBe(false);
      });
    });
  });

  gpuTest("two that share a stream are refused", async (gpu) => {
    const shared = { a: randomUniform([2], { stream: 3 }), b: randomNormal([4], { stream: 3 }) };
    const error = await failureOf(() => Executable.compile(gpu, { ...program, outputs: shared }));
    expectFailure(error, "TypeError", "randomUniform [2] and randomNormal [4] both draw from stream 3");
  });
});
