import { describe, expect } from "bun:test";
import { add, mul } from "../../../src/graph/ops/arithmetic.ts";
import { Executable } from "../../../src/graph/executable.ts";
import { matmul } from "../../../src/graph/ops/matmul.ts";
import { relu } from "../../../src/graph/ops/piecewise.ts";
import { input } from "../../../src/graph/ops/sources.ts";
import { reshape } from "../../../src/graph/ops/views.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { interpret } from "../../helpers/interpreter.ts";
import { expectClose, randomNumbers } from "../numbers.ts";

describe("a product of few rows", () => {
  gpuTest("computes what follows it before it is written, in one dispatch", async (gpu) => {
    for (const variant of ["thinPacked", "thinWorkgroup"]) {
      for (const [rows, columns, depth] of [[1, 70, 36], [3, 64, 8], [4, 129, 260]] as const) {
        const x = input("x", "f32", [rows, 1, depth]);
        const [weight, bias] = [input("weight", "f32", [columns, depth]), input("bias", "f32", [columns])];
        const before = input("before", "f32", [rows, columns]);
        const product = reshape(matmul(x, weight, { transposeB: true }), [rows, columns]);
        const value = add(before, relu(mul(add(product, bias), 0.5)));
        const elements = Object.fromEntries([x, weight, bias, before].map((each, index) => {
          const count = each.shape.reduce((all, size) => all * size, 1);
          return [each.attributes.name, [...randomNumbers(count, index + 1)]];
        }));
        const executable = await Executable.compile(gpu, {
          inputs: [x, weight, bias, before],
          outputs: { value },
          parameters: (name) => {
            throw new TypeError(`There is no parameter ${name}`);
          },
        }, { variants: new Map([["matmul", variant]]) });
        try {
          expect(executable.stats.dispatches).toBe(1);
          executable.run(
            Object.fromEntries(Object.entries(elements).map(([name, all]) => [name, Float32Array.from(all)])),
          );
          const [found] = await executable.read("value");
          const [expected = []] = interpret([value], { inputs: elements });
          expectClose(found?.toArray() as Float32Array, expected, { absolute: 2e-5 });
        } finally {
          executable.close();
        }
      }
    }
  });
});
