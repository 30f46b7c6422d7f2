import { describe, expect, test } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import type { ComputeDType } from "../../../src/kernels/elementwise/expression.ts";
import { reduce, type ReduceOptions, type ReduceStep } from "../../../src/kernels/reduce/reduce.ts";
import type { ReduceVariant, ReductionSpan } from "../../../src/kernels/reduce/reduction_plan.ts";
import type { ReduceOp } from "../../../src/kernels/reduce/reduction_totals.ts";
import { HOST_MEMORY, NAMED_MEMORY } from "../../helpers/run_steps.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { expectClose, expectSame, randomNumbers, SIZES, smallIntegers } from "../numbers.ts";
import { reduceTwin } from "../twins/reduce_twin.ts";

const VARIANTS: readonly ReduceVariant[] = ["sequential", "tree"];

/** What is reduced, `[outer, reduced, inner]`, and in which variant instead of the planned one. */
interface Reduction extends ReductionSpan {
  readonly op: ReduceOp;
  readonly dtype?: ComputeDType;
  readonly variant?: ReduceVariant;
}

/** The dispatches one after the other. A binding is never empty: a tensor without elements is bound as one word. */
async function reduced(gpu: GpuDevice, input: Numbers, reduction: Reduction): Promise<Numbers> {
  const bound = input.length > 0 ? input : new Float32Array(1);
  const count = reduction.outer * reduction.inner;
  const out = { f32: new Float32Array(count), i32: new Int32Array(count), u32: new Uint32Array(count) };
  const result: Numbers = out[reduction.dtype ?? "f32"].fill(7);
  const steps = reduce<HostArray>(
    { input: bound, out: result },
    optionsOf(reduction),
    HOST_MEMORY,
  );
  for (const { dispatch, out } of steps) {
    const [values] = await runDispatch(gpu, dispatch, [out]);
    out.set(values);
  }
  return result;
}

function optionsOf({ op, dtype = "f32", variant, ...span }: Reduction): ReduceOptions {
  if (variant === undefined) return { op, dtype, spans: [span] };
  const partialTerms = Math.max(1, span.reduced);
  return { op, dtype, spans: [span], passes: [{ ...span, partialTerms, partials: 1, variant }] };
}

type Numbers = Float32Array | Int32Array | Uint32Array;

for (const variant of VARIANTS) {
  describe(`reduce, ${variant} variant`, () => {
    gpuTest("adds up 0 to 65537 elements", async (gpu) => {
      for (const size of SIZES) {
        const shape = { outer: 1, reduced: size, inner: 1 };
        const input = smallIntegers(size, 1);
        expectSame(
          await reduced(gpu, input, { op: "sum", ...shape, variant }),
          reduceTwin(input, "sum", shape),
        );
      }
    });

    gpuTest("reduces rows, columns and the middle", async (gpu) => {
      const shapes = [{ outer: 65, reduced: 63, inner: 1 }, { outer: 1, reduced: 64, inner: 257 }, {
        outer: 5,
        reduced: 3,
        inner: 7,
      }];
      for (const shape of shapes) {
        const input = smallIntegers(shape.outer * shape.reduced * shape.inner, 2);
        for (const op of ["sum", "max"] as const) {
          expectSame(await reduced(gpu, input, { op, ...shape, variant }), reduceTwin(input, op, shape));
        }
      }
    });

    gpuTest("takes means, and the mean of nothing is NaN", async (gpu) => {
      const shape = { outer: 3, reduced: 257, inner: 1 };
      const input = randomNumbers(3 * 257, 3);
      const means = await reduced(gpu, input, { op: "mean", ...shape, variant });
      expectClose(means, reduceTwin(input, "mean", shape), { absolute: 1e-6 });
      const nothing = { outer: 2, reduced: 0, inner: 1 };
      expectSame(await reduced(gpu, new Float32Array(0), { op: "mean", ...nothing, variant }), [NaN, NaN]);
    });

    gpuTest("lets NaN and infinity through", async (gpu) => {
      const shape = { outer: 5, reduced: 4, inner: 1 };
      const [N, I] = [NaN, Infinity];
      const input = Float32Array.of(1, N, 2, 3, N, 1, 1, 1, -I, -I, -I, -I, I, 1, -I, 2, 1, 2, 3, N);
      for (const op of ["sum", "max", "min", "mean"] as const) {
        expectSame(await reduced(gpu, input, { op, ...shape, variant }), reduceTwin(input, op, shape));
      }
    });

    gpuTest("adds and compares integers exactly", async (gpu) => {
      const shape = { outer: 2, reduced: 3, inner: 1 };
      const signed = Int32Array.of(-5, -2_000_000_000, -7, 2 ** 31 - 1, 1, 0);
      expectSame(await reduced(gpu, signed, { op: "max", dtype: "i32", ...shape, variant }), [
        -5,
        2 ** 31 - 1,
      ]);
      expectSame(await reduced(gpu, signed, { op: "sum", dtype: "i32", ...shape, variant }), [
        -2_000_000_012,
        -(2 ** 31),
      ]);
      expectSame(await reduced(gpu, signed, { op: "min", dtype: "i32", ...shape, variant }), [
        -2_000_000_000,
        0,
      ]);
      const unsigned = Uint32Array.of(1, 4_000_000_000, 2, 0, 0, 0);
      expectSame(await reduced(gpu, unsigned, { op: "max", dtype: "u32", ...shape, variant }), [
        4_000_000_000,
        0,
      ]);
      expectSame(await reduced(gpu, unsigned, { op: "min", dtype: "u32", ...shape, variant }), [1, 0]);
    });

    gpuTest("finds the smallest and the largest numbers of each dtype", async (gpu) => {
      const shape = { outer: 1, reduced: 2, inner: 1 };
      const [low, high] = [-(2 ** 31), 2 ** 31 - 1];
      for (const both of [[low, 5], [low, low], [high, 5], [high, high]]) {
        const signed = Int32Array.from(both);
        const [found] = await reduced(gpu, signed, { op: "min", dtype: "i32", ...shape, variant });
        expect(found).toBe(Math.min(...both));
        expectSame(
          await reduced(gpu, signed, { op: "max", dtype: "i32", ...shape, variant }),
          [Math.max(...both)],
        );
      }
      const full = Uint32Array.of(2 ** 32 - 1, 2 ** 32 - 1);
      expectSame(await reduced(gpu, full, { op: "min", dtype: "u32", ...shape, variant }), [2 ** 32 - 1]);
    });
  });
}

/** The steps of `reduction` with names for memory. */
function steps(reduction: Reduction): ReduceStep<string>[] {
  return reduce<string>({ input: "input", out: "out" }, optionsOf(reduction), {
    ...NAMED_MEMORY,
    scratch: (_, byteLength) => `${byteLength} bytes`,
  });
}

describe("reduce", () => {
  gpuTest("carries what rounding takes from a sum, whatever the variant", async (gpu) => {
    // A few terms are added as they are: neighbours, or those of four turns. So each number stands alone among zeros.
    const numbers = [2 ** 30, ...Array<number>(300).fill(1), -(2 ** 30), 2 ** -20];
    const input = new Float32Array(2048 * Math.ceil(numbers.length / 32));
    numbers.forEach((x, index) => input[Math.floor(index / 32) * 2048 + index % 32 * 16] = x);
    const shape = { outer: 1, reduced: input.length, inner: 1 };
    for (const variant of VARIANTS) {
      expectSame(await reduced(gpu, input, { op: "sum", ...shape, variant }), [300]);
    }
    const cut = {
      ...shape,
      partialTerms: 80,
      partials: Math.ceil(input.length / 80),
      variant: "sequential",
    } as const;
    const joined = {
      ...shape,
      reduced: cut.partials,
      partialTerms: cut.partials,
      partials: 1,
      variant: "tree",
    } as const;
    const out = new Float32Array(1);
    const staged = reduce<HostArray>(
      { input, out },
      { op: "sum", spans: [shape], passes: [cut, joined] },
      HOST_MEMORY,
    );
    for (const step of staged) step.out.set((await runDispatch(gpu, step.dispatch, [step.out]))[0]);
    expectSame(out, [300]);
  });

  gpuTest("a sum beyond the largest number is infinite, and never NaN", async (gpu) => {
    const input = new Float32Array(2000).fill(3e38);
    for (const variant of VARIANTS) {
      const shape = { outer: 1, reduced: 2000, inner: 1, variant };
      expectSame(await reduced(gpu, input, { op: "sum", ...shape }), [Infinity]);
      expectSame(await reduced(gpu, input.map((x) => -x), { op: "mean", ...shape }), [-Infinity]);
    }
  });

  gpuTest("reduces in several dispatches what it would in one", async (gpu) => {
    const shapes = [
      { op: "sum", outer: 1, reduced: 131_073, inner: 1 },
      { op: "mean", outer: 3, reduced: 70_000, inner: 2 },
      { op: "sum", outer: 2, reduced: 3001, inner: 33 },
      { op: "min", outer: 2, reduced: 70_000, inner: 1 },
    ] as const;
    for (const shape of shapes) {
      const input = smallIntegers(shape.outer * shape.reduced * shape.inner, 9);
      expect(steps(shape).length).toBeGreaterThan(1);
      expectClose(await reduced(gpu, input, shape), reduceTwin(input, shape.op, shape), { relative: 1e-6 });
    }
  });

  test("has nothing to dispatch for an empty result", () => {
    for (const variant of VARIANTS) {
      const [step] = steps({ op: "max", outer: 0, reduced: 0, inner: 3, variant });
      expect(step?.dispatch.workgroups).toEqual([0, 0, 0]);
    }
  });

  test("refuses the maximum and the minimum of nothing and the mean of integers", () => {
    const nothing = { outer: 1, reduced: 0, inner: 1 };
    expect(() => steps({ op: "max", ...nothing })).toThrow("no elements have no maximum");
    expect(() => steps({ op: "min", ...nothing })).toThrow("no elements have no minimum");
    expect(() => steps({ op: "mean", outer: 1, reduced: 2, inner: 1, dtype: "i32" })).toThrow("mean of i32");
    expect(() => steps({ op: "sum", outer: -1, reduced: 2, inner: 1 })).toThrow("outer has to be");
    expect(() => reduce({ input: "input", out: "out" }, { op: "sum", spans: [] }, NAMED_MEMORY)).toThrow(
      "no axis",
    );
  });
});
