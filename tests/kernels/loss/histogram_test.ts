import { describe, expect, test } from "bun:test";
import { histogram } from "../../../src/kernels/loss/histogram.ts";
import { histogram as histogramOf } from "../../../src/graph/ops/histogram.ts";
import { input } from "../../../src/graph/ops/sources.ts";
import { runValues } from "../../graph/run_values.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { SIZES } from "../numbers.ts";

describe("histogram", () => {
  gpuTest(
    "counts 0 to 65537 rows in 1 to 257 bins, leaves out those that are in none, and begins anew",
    async (gpu) => {
      for (const rows of SIZES) {
        for (const binCount of rows > 300 ? [5] : [1, 4, 257]) {
          const bins = Array.from(
            { length: rows },
            (_, row) => row % 3 === 0 ? 2 ** 32 - 1 : row * 7 % (binCount + 2),
          );
          const expected = Array<number>(binCount).fill(0);
          for (const bin of bins) {
            if (bin < binCount) expected[bin] = (expected[bin] ?? 0) + 1;
          }
          const value = histogramOf(input("bins", "u32", [rows]), binCount);
          const [first, again] = [
            await runValues(gpu, [value], { bins }),
            await runValues(gpu, [value], { bins }),
          ];
          expect(Array.from(first[0]?.toArray() as Uint32Array)).toEqual(expected);
          expect(again[0]?.bytes).toEqual(first[0]?.bytes ?? new Uint8Array());
        }
      }
    },
  );

  test("counts nothing without rows, and refuses an invalid size", () => {
    const [, count] = histogram({ bins: "bins", out: "out" }, { rows: 0, binCount: 3 });
    expect(count?.workgroups).toEqual([0, 0, 0]);
    expect(() => histogram({ bins: "bins", out: "out" }, { rows: -1, binCount: 3 })).toThrow(RangeError);
  });
});
