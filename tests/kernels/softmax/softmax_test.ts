import { describe, expect, test } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { softmax, softmaxGradient, type SoftmaxOptions } from "../../../src/kernels/softmax/softmax.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { randomNumbers } from "../numbers.ts";

type Rows = (row: readonly number[], other: readonly number[]) => readonly number[];

/** Computes each row from those of one or two tensors, in float64. */
function alongRows(
  options: SoftmaxOptions,
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  compute: Rows,
): number[] {
  const { outer, reduced, inner } = options;
  const results: number[] = [];
  for (let row = 0; row < outer * inner; row++) {
    const first = Math.floor(row / inner) * reduced * inner + row % inner;
    const places = Array.from({ length: reduced }, (_, term) => first + term * inner);
    const of = (elements: ArrayLike<number>) => places.map((place) => elements[place] ?? NaN);
    compute(of(a), of(b)).forEach((result, term) => results[places[term] ?? 0] = result);
  }
  return results;
}

function softmaxTwin(isLog: boolean): Rows {
  return (row) => {
    const largest = Math.max(...row);
    const sum = row.reduce((total, x) => total + Math.exp(x - largest), 0);
    return row.map((x) => isLog ? x - largest - Math.log(sum) : Math.exp(x - largest) / sum);
  };
}

function gradientTwin(isLog: boolean): Rows {
  return (y, g) => {
    const sum = y.reduce((total, x, term) => total + (isLog ? 1 : x) * (g[term] ?? NaN), 0);
    return y.map((x, term) => isLog ? (g[term] ?? NaN) - Math.exp(x) * sum : x * ((g[term] ?? NaN) - sum));
  };
}

async function both(gpu: GpuDevice, options: SoftmaxOptions, input: Float32Array): Promise<HostArray[]> {
  const out = new Float32Array(input.length);
  const [result = out] = await runDispatch(gpu, softmax<HostArray>({ input, out }, options), [out]);
  const outGrad = randomNumbers(input.length, 5);
  const into = new Float32Array(input.length);
  const bindings = { result: result as Float32Array, outGrad, out: into };
  const [gradient = into] = await runDispatch(gpu, softmaxGradient<HostArray>(bindings, options), [into]);
  return [result, gradient, outGrad];
}

function expectWithin(
  found: ArrayLike<number | bigint>,
  expected: readonly number[],
  tolerance: number,
): void {
  const worst = Math.max(
    0,
    ...expected.map((wanted, index) => Math.abs(Number(found[index]) - wanted) / (1e-3 + Math.abs(wanted))),
  );
  expect(worst).toBeLessThan(tolerance);
}

const SIZES: [outer: number, reduced: number, inner: number][] = [
  [1, 1, 1],
  [65, 7, 1],
  [3, 64, 1],
  [9, 5, 3],
  [2, 63, 4],
  [257, 4, 1],
  [3, 129, 1],
  [2, 1028, 1],
  [1, 300, 8],
  [2, 257, 3],
];

describe("softmax and its logarithm", () => {
  for (const variant of ["row", "workgroup"] as const) {
    for (const isLog of [false, true]) {
      const name = isLog ? "logSoftmax" : "softmax";
      gpuTest(
        `OP-08 ${name} by ${variant} and its gradient are within 5e-6 of float64 at odd sizes`,
        async (gpu) => {
          for (const [outer, reduced, inner] of SIZES) {
            const options = { outer, reduced, inner, isLog, variant };
            const input = randomNumbers(outer * reduced * inner, reduced).map((x) => 3 * x);
            const [result = [], gradient = [], outGrad = []] = await both(gpu, options, input);
            expectWithin(result, alongRows(options, input, input, softmaxTwin(isLog)), 5e-6);
            const y = Array.from(result, Number);
            expectWithin(
              gradient,
              alongRows(options, y, Array.from(outGrad, Number), gradientTwin(isLog)),
              2e-5,
            );
          }
        },
      );
    }

    gpuTest(`OP-08 by ${variant}, the largest element may be anywhere and however large`, async (gpu) => {
      const rowOf = (length: number, of: (term: number) => number) =>
        Array.from({ length }, (_, term) => of(term));
      for (const reduced of [7, 136, 1030]) {
        const rows = [
          rowOf(reduced, (term) => term / 3),
          rowOf(reduced, (term) => -term),
          rowOf(reduced, (term) => term === reduced - 2 ? 100 : -100),
          // Some are hidden, those that are looked at first among them.
          rowOf(reduced, (term) => term !== 2 && term % Math.ceil(reduced / 8) === 0 ? -Infinity : term % 5),
          rowOf(reduced, (term) => term === 5 ? 7.5 : term % 3 - 1),
        ];
        for (const inner of [1, 4]) {
          const each = inner === 1
            ? rows.flat()
            : rows.flatMap((row) => row.flatMap((x) => [x, x - 3, x, x + 90]));
          const input = Float32Array.from(each);
          for (const isLog of [false, true]) {
            const options = { outer: rows.length, reduced, inner, isLog, variant };
            const [result = []] = await both(gpu, options, input);
            const expected = alongRows(options, input, input, softmaxTwin(isLog));
            const errors = expected.map((wanted, place) =>
              result[place] === wanted ? 0 : Math.abs(Number(result[place]) - wanted) / (1 + Math.abs(wanted))
            );
            expect(errors.filter((error) => !(error < 2e-6))).toEqual([]);
          }
        }
      }
    });

    gpuTest(`OP-08 by ${variant}, NaN and infinity spoil their own row and no other`, async (gpu) => {
      for (const reduced of [5, 8, 136]) {
        const rows = [1, NaN, Infinity, -Infinity, 2, -Infinity].map((special, row) => {
          const numbers = Array.from({ length: reduced }, (_, term) => term % 3);
          if (row === 5) return numbers.map(() => -Infinity);
          return numbers.with(row % reduced, special);
        });
        const input = Float32Array.from(rows.flat());
        const options = { outer: 6, reduced, inner: 1, isLog: false, variant };
        const [found = []] = await both(gpu, options, input);
        const sums = rows.map((_, row) =>
          Array.from(found, Number).slice(row * reduced, (row + 1) * reduced).reduce(
            (total, x) => total + x,
            0,
          )
        );
        expect(sums).toEqual([1, NaN, NaN, 1, 1, NaN].map((x) => Number.isNaN(x) ? x : expect.closeTo(x, 5)));
        expect(Number(found[3 * reduced + 3])).toBe(0);
      }
    });

    gpuTest(
      `OP-08 by ${variant}, a long row sums up without losing what rounding took, and twice to the same bits`,
      async (gpu) => {
        const options = { outer: 1, reduced: 65_537, inner: 1, isLog: true, variant };
        const input = new Float32Array(65_537);
        const [first = []] = await both(gpu, options, input);
        const [second = []] = await both(gpu, options, input);
        expect(Math.abs(Number(first[0]) + Math.log(65_537))).toBeLessThan(4e-6);
        expect(second).toEqual(first);
      },
    );
  }

  test("OP-08 rows without elements are no work", () => {
    const options = { outer: 3, reduced: 0, inner: 1, isLog: false, variant: "row" } as const;
    expect(softmax({ input: "x", out: "y" }, options).workgroups).toEqual([0, 0, 0]);
    expect(softmax({ input: "x", out: "y" }, { ...options, outer: 0, reduced: 4 }).workgroups).toEqual([
      0,
      0,
      0,
    ]);
  });
});
