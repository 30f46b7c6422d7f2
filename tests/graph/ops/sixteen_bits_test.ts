import { describe, expect } from "bun:test";
import { encodeBfloat16, encodeFloat16 } from "../../../src/base/float16.ts";
import { add, mul } from "../../../src/graph/ops/arithmetic.ts";
import { matmul } from "../../../src/graph/ops/matmul.ts";
import { input } from "../../../src/graph/ops/sources.ts";
import { narrow, roundTo, widen } from "../../../src/graph/ops/sixteen_bits.ts";
import { sum } from "../../../src/graph/ops/sum.ts";
import { reshape, transpose } from "../../../src/graph/ops/views.ts";
import { SIXTEEN_BITS, type SixteenBits } from "../../../src/kernels/elementwise/sixteen_bits.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { numbers } from "../executable_helpers.ts";
import { runValues } from "../run_values.ts";

/** Halves between two neighbours, the ends of the ranges, and what is no number. */
const EDGES = [0, -0, 1, -1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -14, 2 ** -15]
  .concat([2 ** -24, 2 ** -25, 3 * 2 ** -25, 2 ** -26, 1023.5 * 2 ** -24, 65503, 65504, 65519, 65520, -65520])
  .concat([3e38, 3.4e38, -3.4e38, 1e-30, Infinity, -Infinity]);

function stored(values: readonly number[], dtype: SixteenBits): HostTensor {
  const bits = (dtype === "bf16" ? encodeBfloat16 : encodeFloat16)(Float32Array.from(values));
  return HostTensor.fromBytes(new Uint8Array(bits.buffer), dtype, [values.length]);
}

describe("values in 16 bits", () => {
  for (const dtype of SIXTEEN_BITS) {
    gpuTest(`MP-01 ${dtype} is stored as the host rounds it, at any size`, async (gpu) => {
      for (const size of [1, 2, 3, 4, 63, 64, 65, 257]) {
        const elements = [...EDGES, ...numbers(size, 3).map((x) => x * 100)].slice(0, size);
        const x = input("x", "f32", [size]);
        const [found] = await runValues(gpu, [narrow(x, dtype)], { x: elements });
        expect(found).toEqual(stored(elements, dtype));
      }
      const [nan] = await runValues(gpu, [widen(narrow(input("x", "f32", [3]), dtype))], {
        x: [NaN, 1, NaN],
      });
      expect([...nan?.toArray() as Float32Array]).toEqual([NaN, 1, NaN]);
    });

    gpuTest(`MP-01 ${dtype} is read by elementwise ops, other kernels and through walks`, async (gpu) => {
      const [rows, columns] = [5, 12];
      const elements = numbers(rows * columns, 8);
      const exact = [...stored(elements, dtype).toArray() as Float32Array];
      const x = input("x", "f32", [rows, columns]);
      const kept = narrow(add(x, 0), dtype);
      const wide = widen(kept);
      const turned = widen(reshape(kept, [columns, rows]));
      const [doubled, total, product, moved, rounded] = await runValues(gpu, [
        mul(wide, 2),
        sum(wide, { axes: 1 }),
        matmul(wide, turned),
        transpose(wide),
        roundTo(x, dtype),
      ], { x: elements });
      const at = (row: number, column: number): number => exact[row * columns + column] ?? NaN;
      const all = <T>(count: number, of: (index: number) => T): T[] =>
        Array.from({ length: count }, (_, i) => of(i));
      expect([...doubled?.toArray() as Float32Array]).toEqual(exact.map((each) => 2 * each));
      expect([...rounded?.toArray() as Float32Array]).toEqual(exact);
      expect([...moved?.toArray() as Float32Array]).toEqual(
        all(rows * columns, (index) => at(index % rows, Math.floor(index / rows))),
      );
      all(rows, (row) => {
        const expected = all(columns, (column) => at(row, column)).reduce((a, b) => a + b, 0);
        expect(total?.toArray()[row]).toBeCloseTo(expected, 4);
        all(rows, (other) => {
          const products = all(columns, (column) => at(row, column) * (exact[column * rows + other] ?? NaN));
          expect(product?.toArray()[row * rows + other]).toBeCloseTo(products.reduce((a, b) => a + b, 0), 4);
        });
      });
    });
  }
});
