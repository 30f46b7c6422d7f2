import { describe, expect } from "bun:test";
import { Executable } from "../../src/graph/executable.ts";
import { add, mul, sub } from "../../src/graph/ops/arithmetic.ts";
import { full } from "../../src/graph/ops/fill.ts";
import type { Program } from "../../src/graph/program.ts";
import { input, parameter } from "../../src/graph/ops/sources.ts";
import { sum } from "../../src/graph/ops/sum.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { expectFailure, failureOf } from "./executable_helpers.ts";
import { noParameters } from "./run_values.ts";
import { Slab } from "./slab.ts";

describe("inconsistent programs", () => {
  const x = input("x", "f32", [2]);

  const mistakes: [name: string, program: Partial<Program>, message: string][] = [
    [
      "an input that is not listed",
      { inputs: [] },
      'The program depends on input "x", which its inputs do not list',
    ],
    [
      "two inputs of one name",
      { inputs: [x, input("x", "f32", [3])] },
      'Two inputs of the program are called "x"',
    ],
    [
      "something else under inputs",
      { inputs: [x, add(x, 1)] },
      "add is listed under inputs but is no input()",
    ],
  ];
  for (const [name, part, message] of mistakes) {
    gpuTest(`${name}: a TypeError`, async (gpu) => {
      const program = { inputs: [x], outputs: { y: mul(x, 2) }, parameters: noParameters, ...part };
      const error = await failureOf(() => Executable.compile(gpu, program));
      expectFailure(error, "TypeError", message);
    });
  }

  gpuTest("a parameter with too little memory is refused before anything is allocated", async (gpu) => {
    const slab = new Slab(gpu, "parameters", { w: [1, 2] });
    const before = gpu.counters;
    const outputs = { y: mul(parameter("w", "f32", [3]), 2) };
    const error = await failureOf(() =>
      Executable.compile(gpu, { inputs: [], outputs, parameters: () => slab.range("w") })
    );
    expectFailure(error, "TypeError", 'parameter "w": its memory has 8 bytes, f32 of shape [3] needs 12');
    expect(gpu.counters).toEqual(before);
    slab.close();
  });

  gpuTest("a kernel that binds more than the adapter can is refused with the limit", async (gpu) => {
    const elements = Math.floor(gpu.limits.maxStorageBufferBindingSize / 4) + 64;
    const outputs = { y: sum(sub(full([elements], 1), 1)) };
    const before = gpu.counters;
    const error = await failureOf(() =>
      Executable.compile(gpu, { inputs: [], outputs, parameters: noParameters })
    );
    expectFailure(error, "limit_exceeded", "(maxStorageBufferBindingSize)");
    expect(gpu.counters).toEqual(before);
  });
});
