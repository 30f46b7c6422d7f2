import { describe, expect, test } from "bun:test";
import {
  batchedMatmul,
  type BatchedMatmulOptions,
  type MatrixWalk,
} from "../../../src/kernels/matmul/batched_matmul.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { smallIntegers } from "../numbers.ts";

const TIMEOUT_MS = 120_000;

/** The element of a matrix of the batch. */
function elementOf(
  array: Float32Array,
  walk: MatrixWalk,
  place: readonly number[],
  row: number,
  column: number,
): number {
  const first = place.reduce((total, at, axis) => total + at * (walk.strides[axis] ?? 0), 0);
  return array[first + (walk.isTransposed ? column * walk.pitch + row : row * walk.pitch + column)] ?? NaN;
}

function twin(a: Float32Array, b: Float32Array, options: BatchedMatmulOptions): number[] {
  const { m, n, k, batch } = options;
  let places: number[][] = [[]];
  for (const size of batch) {
    places = places.flatMap((place) => Array.from({ length: size }, (_, at) => [...place, at]));
  }
  return places.flatMap((place) =>
    Array.from({ length: m * n }, (_, index) => {
      const [row, column] = [Math.floor(index / n), index % n];
      let total = 0;
      for (let p = 0; p < k; p++) {
        total += elementOf(a, options.a, place, row, p) * elementOf(b, options.b, place, p, column);
      }
      return total;
    })
  );
}

const plain = (lines: number, pitch: number, batch: number[] = []): MatrixWalk => ({
  strides: [...batch, lines * pitch],
  isTransposed: false,
  pitch,
});
const turned = (lines: number, pitch: number, batch: number[] = []): MatrixWalk => ({
  ...plain(lines, pitch, batch),
  isTransposed: true,
});

type Shape = Omit<BatchedMatmulOptions, "variant"> & { readonly name: string };

const SHAPES: Shape[] = [
  { name: "of odd sizes", m: 5, n: 7, k: 3, batch: [4], a: plain(5, 3), b: plain(3, 7) },
  { name: "of whole vectors", m: 12, n: 8, k: 16, batch: [3], a: turned(16, 12), b: plain(16, 8) },
  { name: "along depth", m: 9, n: 8, k: 32, batch: [3], a: plain(9, 32), b: turned(8, 32) },
  {
    name: "with one B for all",
    m: 6,
    n: 5,
    k: 4,
    batch: [3],
    a: plain(6, 4),
    b: { ...plain(0, 5), strides: [0] },
  },
  {
    // [2, 6, 3, 8]: batch, rows, heads, width.
    name: "of heads side by side",
    ...{ m: 6, n: 6, k: 8, batch: [2, 3] },
    a: { strides: [6 * 24, 8], isTransposed: false, pitch: 24 },
    b: { strides: [6 * 24, 8], isTransposed: true, pitch: 24 },
  },
  {
    name: "that both repeat",
    ...{ m: 33, n: 65, k: 2, batch: [2, 3] },
    a: { strides: [66, 0], isTransposed: true, pitch: 33 },
    b: { strides: [0, 130], isTransposed: false, pitch: 65 },
  },
];

describe("batched matmul", () => {
  for (const variant of ["register", "workgroup"] as const) {
    for (const { name, ...shape } of SHAPES) {
      gpuTest(`OP-01 multiplies matrices ${name}, by ${variant}`, async (gpu) => {
        const [a, b] = [smallIntegers(1024, 1), smallIntegers(1024, 2)];
        const options = { ...shape, variant };
        const expected = twin(a, b, options);
        const out = new Float32Array(expected.length).fill(7);
        const [found] = await runDispatch(gpu, batchedMatmul<HostArray>({ a, b, out }, options), [out]);
        // Zeros of both signs are equal: what the sum begins with has none.
        expect(Array.from(found, (x) => x + 0)).toEqual(expected.map((x) => x + 0));
      }, TIMEOUT_MS);
    }
  }

  test("OP-01 of no matrices, or of matrices without elements, there is nothing to compute", () => {
    const options = {
      m: 3,
      n: 4,
      k: 2,
      batch: [0],
      a: plain(3, 2),
      b: plain(2, 4),
      variant: "register",
    } as const;
    expect(batchedMatmul({ a: "a", b: "b", out: "c" }, options).workgroups).toEqual([0, 0, 0]);
    expect(batchedMatmul({ a: "a", b: "b", out: "c" }, { ...options, batch: [2], m: 0 }).workgroups).toEqual([
      0,
      0,
      0,
    ]);
  });
});
