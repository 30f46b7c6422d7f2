import { describe, expect } from "bun:test";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { Executable } from "../../src/graph/executable.ts";
import { add, mul, sub } from "../../src/graph/ops/arithmetic.ts";
import { less, where } from "../../src/graph/ops/comparison.ts";
import { full } from "../../src/graph/ops/fill.ts";
import { matmul } from "../../src/graph/ops/matmul.ts";
import { relu } from "../../src/graph/ops/piecewise.ts";
import { mean } from "../../src/graph/ops/reduce.ts";
import { input } from "../../src/graph/ops/sources.ts";
import { softmaxCrossEntropy } from "../../src/graph/ops/softmax_cross_entropy.ts";
import { sum } from "../../src/graph/ops/sum.ts";
import { exp, tanh } from "../../src/graph/ops/transcendental.ts";
import { reshape } from "../../src/graph/ops/views.ts";
import type { Value } from "../../src/graph/value.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { interpret } from "../helpers/interpreter.ts";
import { numbers } from "./executable_helpers.ts";
import { expectNear, inputsOf, noParameters, runValues } from "./run_values.ts";

/** The variant whose kernels take other work. */
const variants = (): Map<string, string> => new Map([["matmul", "workgroup"]]);
const TIMEOUT_MS = 300_000;

const a = input("a", "f32", [37, 19]);
const elements = { a: numbers(37 * 19, 1), column: numbers(37, 3), ...rows(24), ...rows(10) };

function rows(n: number): Record<string, number[]> {
  return {
    [`b${n}`]: numbers(19 * n, n),
    [`row${n}`]: numbers(n, n + 1),
    [`all${n}`]: numbers(37 * n, n + 2),
  };
}

/** Of `n` columns, which are whole vectors or not: what is computed of a product, and the product. */
function cases(n: number): [Value, Value][] {
  const [b, row, all, column] = [
    input(`b${n}`, "f32", [19, n]),
    input(`row${n}`, "f32", [n]),
    input(`all${n}`, "f32", [37, n]),
    input("column", "f32", [37, 1]),
  ];
  const ends: ((product: Value) => Value)[] = [
    (product) => relu(add(product, row)),
    (product) => add(tanh(mul(product, column)), all),
    (product) => where(less(all, 0), 0, sub(exp(product), product)),
    (product) => add(reshape(product, [n, 37]), reshape(all, [n, 37])),
  ];
  // Kernels are compiled for seconds on a CPU adapter: single elements are written by the first and the last.
  return ends.filter((_, index) => n % 4 === 0 || index % 3 === 0).map((end) => {
    const product = matmul(a, b);
    return [end(product), product];
  });
}

async function dispatchesOf(gpu: GpuDevice, outputs: readonly Value[]): Promise<number> {
  const executable = await Executable.compile(gpu, {
    inputs: inputsOf(outputs),
    outputs: Object.fromEntries(outputs.map((value, index) => [`${index}`, value])),
    parameters: noParameters,
  }, { variants: variants() });
  const { dispatches } = executable.stats;
  executable.close();
  return dispatches;
}

/** The inputs of `values` among the elements. */
function givenTo(values: readonly Value[]): Record<string, number[]> {
  const names = inputsOf(values).map(({ attributes }) => attributes.name as keyof typeof elements);
  return Object.fromEntries(names.map((name) => [name, elements[name] ?? []]));
}

describe("work that joins the kernel of a product", () => {
  for (const n of [24, 10]) {
    gpuTest(
      `elementwise ops of a product of ${n} columns run at its end, with the same bits`,
      async (gpu) => {
        for (const [result, product] of cases(n)) {
          expect(await dispatchesOf(gpu, [result])).toBe(1);
          const [joined] = await runValues(gpu, [result], givenTo([result]), variants());
          const [apart] = await runValues(gpu, [result, product], givenTo([result]), variants());
          expect(joined?.bytes).toEqual(apart?.bytes ?? new Uint8Array());
        }
      },
      TIMEOUT_MS,
    );
  }

  gpuTest(
    "a product that two kernels read, or that the program keeps, is computed by itself",
    async (gpu) => {
      const b = input("b24", "f32", [19, 24]);
      const product = matmul(a, b);
      expect(await dispatchesOf(gpu, [tanh(product), product])).toBe(2);
      expect(await dispatchesOf(gpu, [exp(product), sum(product, { axes: 0 })])).toBe(3);
      const twice = tanh(add(matmul(a, b), matmul(a, mul(b, 2))));
      expect(await dispatchesOf(gpu, [twice])).toBe(3);
    },
  );

  gpuTest(
    "the sum of a matrix over its rows comes out of the product that reads it transposed",
    async (gpu) => {
      for (const [k, m, n] of [[37, 10, 24], [1030, 33, 12], [5, 64, 3], [1, 7, 2]] as const) {
        const [left, right] = [input("left", "f32", [k, m]), input("right", "f32", [k, n])];
        const values = [reshape(sum(left, { axes: 0 }), [m]), matmul(left, right, { transposeA: true })];
        const given = { left: numbers(k * m, 5).map((x) => x * 1e3), right: numbers(k * n, 6) };
        expect(await dispatchesOf(gpu, values)).toBe(1);
        const found = await runValues(gpu, values, given, variants());
        const expected = interpret(values, { inputs: given });
        values.forEach((_, index) => expectNear(found[index]?.toArray() ?? [], expected[index] ?? [], 1e-3));
        const magnitude = Math.max(...given.left.map(Math.abs)) * k;
        const sums = Array.from(found[0]?.toArray() ?? [], Number);
        sums.forEach((found, index) => {
          expect(Math.abs(found - (expected[0]?.[index] ?? NaN))).toBeLessThanOrEqual(4.8e-7 * magnitude);
        });
      }
    },
    TIMEOUT_MS,
  );

  gpuTest("NaN and infinity stay in the sums of their columns", async (gpu) => {
    const [left, right] = [input("left", "f32", [3, 5]), input("right", "f32", [3, 4])];
    const values = [sum(left, { axes: 0 }), matmul(left, right, { transposeA: true })];
    const given = {
      left: [1, NaN, Infinity, -Infinity, 3e38, 1, 1, 1, Infinity, 3e38, 1, 1, 1, 1, 1],
      right: numbers(12, 7),
    };
    const [sums] = await runValues(gpu, values, given, variants());
    expect(Array.from(sums?.toArray() ?? [], Number)).toEqual([3, NaN, Infinity, NaN, Infinity]);
  });

  gpuTest("a sum that is needed before such a product is computed by itself", async (gpu) => {
    const left = input("left", "f32", [8, 4]);
    const total = sum(left, { axes: 0 });
    const product = matmul(left, add(left, total), { transposeA: true });
    expect(await dispatchesOf(gpu, [product])).toBe(3);
  });

  gpuTest("a number that a kernel reads is uploaded once, and computed by none", async (gpu) => {
    const logits = input("logits", "f32", [8, 5]);
    const loss = mean(softmaxCrossEntropy(logits, input("labels", "u32", [8])));
    const [gradient] = gradients(loss, [logits]);
    if (gradient === undefined) throw new Error("no gradient");
    expect(await dispatchesOf(gpu, [gradient])).toBe(2);
    const [five] = await runValues(gpu, [full([3], 5)], {});
    expect(Array.from(five?.toArray() ?? [], Number)).toEqual([5, 5, 5]);
  });
});
