import { describe, expect, test } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { gradients } from "../../../src/graph/autodiff.ts";
import { mul } from "../../../src/graph/ops/arithmetic.ts";
import { groupNorm, layerNorm, rmsNorm } from "../../../src/graph/ops/norm/row_norms.ts";
import { input } from "../../../src/graph/ops/sources.ts";
import { sum } from "../../../src/graph/ops/sum.ts";
import type { Value } from "../../../src/graph/value.ts";
import type { NormVariant } from "../../../src/kernels/norm/norm_sizes.ts";
import { rowNorm } from "../../../src/kernels/norm/row_norm.ts";
import { runValues } from "../../graph/run_values.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { interpret } from "../../helpers/interpreter.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { expectClose, randomNumbers } from "../numbers.ts";

const VARIANTS: readonly NormVariant[] = ["row", "workgroup"];

type Norm = (x: Value, weight: Value, bias: Value) => Value;

/** Result and gradients by float64's interpreter and by a variant. */
async function expectRight(
  gpu: GpuDevice,
  variant: NormVariant,
  shape: readonly number[],
  channels: number,
  norm: Norm,
): Promise<void> {
  const [x, weight, bias, g] = [
    input("x", "f32", shape),
    input("weight", "f32", [channels]),
    input("bias", "f32", [channels]),
    input("g", "f32", shape),
  ] as const;
  const result = norm(x, weight, bias);
  const values = [result, ...gradients(sum(mul(result, g)), [x, weight, bias])];
  const count = shape.reduce((all, size) => all * size, 1);
  const elements = {
    x: [...randomNumbers(count, 3)].map((each) => 2 * each + 5),
    weight: [...randomNumbers(channels, 4)],
    bias: [...randomNumbers(channels, 5)],
    g: [...randomNumbers(count, 6)],
  };
  const found = await runValues(gpu, values, elements, new Map([["norm", variant]]));
  const rounded = Object.fromEntries(
    Object.entries(elements).map(([name, numbers]) => [name, numbers.map(Math.fround)]),
  );
  const expected = interpret(values, { inputs: rounded });
  values.forEach((_, index) => {
    const wanted = [...expected[index] ?? []];
    const scale = wanted.reduce((most, each) => Math.max(most, Math.abs(each)), 1e-3);
    expectClose(Array.from(found[index]?.toArray() ?? [], Number), wanted, { absolute: 4e-6 * scale });
  });
}

for (const variant of VARIANTS) {
  describe(`normalisation of rows, variant ${variant}`, () => {
    gpuTest(`OP-10 layerNorm and its gradients are float64's at odd sizes, by ${variant}`, async (gpu) => {
      for (
        // From 512 rows on, an invocation has four of them.
        const [rows, length] of [
          [1, 1],
          [65, 3],
          [3, 64],
          [2, 131],
          [257, 132],
          [65, 8],
          [3, 1025],
          [515, 12],
          [512, 132],
        ] as const
      ) {
        await expectRight(
          gpu,
          variant,
          [rows, length],
          length,
          (x, weight, bias) => layerNorm(x, { weight, bias }),
        );
      }
    });

    gpuTest(`OP-10 rmsNorm and its gradients are float64's at odd sizes, by ${variant}`, async (gpu) => {
      for (const [rows, length] of [[65, 4], [3, 131], [5, 260], [513, 20]] as const) {
        await expectRight(gpu, variant, [rows, length], length, (x, weight) => rmsNorm(x, { weight }));
      }
    });

    gpuTest(`OP-10 groupNorm and its gradients are float64's at odd sizes, by ${variant}`, async (gpu) => {
      const cases: [readonly number[], number][] = [
        [[3, 6, 5], 2],
        [[2, 4, 8, 8], 2],
        [[2, 4, 7, 9], 1],
        [[9, 24], 4],
        [[5, 1, 300], 1],
      ];
      for (const [shape, groups] of cases) {
        const channels = shape[1] ?? 0;
        await expectRight(
          gpu,
          variant,
          shape,
          channels,
          (x, weight, bias) => groupNorm(x, groups, { weight, bias }),
        );
      }
    });

    gpuTest(`OP-10 long rows far from 0 are exact, by ${variant}`, async (gpu) => {
      for (const length of [65_537, 100_000]) {
        const row = randomNumbers(length, 8).map((each) => each + 1000);
        const mean = row.reduce((total, each) => total + each, 0) / length;
        const variance = row.reduce((total, each) => total + (each - mean) ** 2, 0) / length;
        const scale = 1 / Math.sqrt(variance + 1e-5);
        const [out = [], statistics = []] = await normalised(gpu, variant, row, length);
        expectClose(statistics, [mean, scale], { relative: 1e-6 });
        // The rounding of the mean, and of a difference.
        expectClose(out, row.map((each) => (each - mean) * scale), {
          absolute: 6e-5 * scale,
          relative: 2e-6,
        });
      }
    });

    gpuTest(`OP-10 rows that begin far from their mean are exact, by ${variant}`, async (gpu) => {
      for (const length of [1030, 1032]) {
        const row = randomNumbers(length, 9).map((each, place) => place < 16 ? 3000 : each);
        const late = Float32Array.from(row).reverse();
        // Here the few elements at the beginning are all that is not small.
        const even = row.map((each, place) => place < 4 ? 1e5 : each / 1000);
        for (const elements of [row, late, even]) {
          const mean = elements.reduce((total, each) => total + each, 0) / length;
          const variance = elements.reduce((total, each) => total + (each - mean) ** 2, 0) / length;
          const [, statistics = []] = await normalised(gpu, variant, elements, length);
          expectClose(statistics, [mean, 1 / Math.sqrt(variance + 1e-5)], { relative: 1e-6 });
        }
      }
    });

    gpuTest(
      `OP-10 NaN and infinity spoil their own row, equal elements give 0, by ${variant}`,
      async (gpu) => {
        for (const length of [5, 8, 136]) {
          const rows = [
            [1, 2],
            [NaN],
            [Infinity],
            [-Infinity, Infinity],
            [1e6 / 3],
            [-0.1],
            [3e38],
          ].map((special, row) => {
            const numbers = Array.from({ length }, (_, place) => place % 3);
            if (row >= 4) return numbers.map(() => special[0] ?? NaN);
            return special.reduce((changed, each, index) => changed.with(row + index, each), numbers);
          });
          const [out = []] = await normalised(
            gpu,
            variant,
            Float32Array.from(rows.slice(0, 6).flat()),
            length,
          );
          rows.slice(0, 6).forEach((row, index) => {
            const found = Array.from(out.slice(index * length, (index + 1) * length), Number);
            const isFinite = row.every(Number.isFinite);
            expect([index, found.some(Number.isNaN)]).toEqual([index, !isFinite]);
            expect([index, found.every(Number.isNaN)]).toEqual([index, !isFinite]);
            if (index >= 4) expect(found.every((each) => each === 0)).toBe(true);
          });
          // The sum of a row that is larger than every f32 is infinite.
          const [large = []] = await normalised(gpu, variant, Float32Array.from(rows[6] ?? []), length);
          expect(Array.from(large, Number).every(Number.isNaN)).toBe(true);
        }
      },
    );
  });
}

/** A row, or rows of `length`, normalised without weights; and means and scales. */
async function normalised(
  gpu: GpuDevice,
  variant: NormVariant,
  rows: Float32Array,
  length: number,
): Promise<HostArray[]> {
  const batch = rows.length / length;
  const [out, statistics] = [new Float32Array(rows.length), new Float32Array(2 * batch)];
  const bindings = { input: rows, weight: undefined, bias: undefined, out, statistics };
  const options = {
    sizes: { batch, channels: length, inner: 1, groups: 1 },
    isCentred: true,
    epsilon: 1e-5,
    variant,
  };
  return await runDispatch(gpu, rowNorm<HostArray>(bindings, options), [out, statistics]);
}

describe("sizes of a normalisation", () => {
  test("OP-10 groups that do not divide channels, and an epsilon that is none, are refused", () => {
    const of = (groups: number, epsilon: number) => () =>
      rowNorm({ input: 0, weight: undefined, bias: undefined, out: 1, statistics: undefined }, {
        sizes: { batch: 1, channels: 4, inner: 1, groups },
        isCentred: true,
        epsilon,
        variant: "row",
      });
    expect(of(3, 0)).toThrow("3 groups do not divide 4 channels");
    expect(of(2, -1)).toThrow("epsilon has to be a number from 0");
    expect(of(2, 0)).not.toThrow();
    const x = input("x", "f32", [2, 4]);
    expect(() => layerNorm(x, { weight: input("w", "f32", [3]) })).toThrow(
      "layerNorm: the weight of [2, 4] has the shape [4], found [3]",
    );
    expect(() => layerNorm(x, { normalizedShape: [2] })).toThrow(
      "normalizedShape is the sizes of the last axes",
    );
    expect(() => groupNorm(x, 3)).toThrow("groups is a number that divides 4 channels, found 3");
    expect(() => rmsNorm(x, { epsilon: NaN })).toThrow("rmsNorm: epsilon is a number from 0 on, found NaN");
    expect(() => layerNorm(input("s", "f32", []))).toThrow("a number has no axis to normalise");
    expect(() => layerNorm(input("i", "u32", [4]))).toThrow("layerNorm: takes f32");
  });
});
