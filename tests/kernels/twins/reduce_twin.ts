import type { ReduceOp } from "../../../src/kernels/reduce/reduction_totals.ts";

/** A tensor seen as `[outer, reduced, inner]`. */
export interface ReduceShape {
  readonly outer: number;
  readonly reduced: number;
  readonly inner: number;
}

/** The reduction over the middle, in float64. */
export function reduceTwin(input: ArrayLike<number>, op: ReduceOp, shape: ReduceShape): Float64Array {
  return Float64Array.from(rowsOf(input, shape), (row) => {
    if (op === "max") return row.reduce((largest, x) => Math.max(largest, x), -Infinity);
    if (op === "min") return row.reduce((smallest, x) => Math.min(smallest, x), Infinity);
    const total = row.reduce((sum, x) => sum + x, 0);
    return op === "mean" ? total / row.length : total;
  });
}

/** Where the largest element of each row is: the first of equals, and the first NaN before all. */
export function argmaxTwin(input: ArrayLike<number>, shape: ReduceShape): Uint32Array {
  return Uint32Array.from(rowsOf(input, shape), (row) => {
    const nan = row.findIndex(Number.isNaN);
    return nan >= 0 ? nan : row.indexOf(row.reduce((largest, x) => Math.max(largest, x), -Infinity));
  });
}

/** The elements that each result is made of. */
function rowsOf(input: ArrayLike<number>, { outer, reduced, inner }: ReduceShape): number[][] {
  return Array.from({ length: outer * inner }, (_, index) => {
    const first = Math.floor(index / inner) * reduced * inner + index % inner;
    return Array.from({ length: reduced }, (_, term) => input[first + term * inner] ?? NaN);
  });
}
