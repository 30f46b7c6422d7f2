import { add } from "../../../src/graph/ops/arithmetic.ts";
import { einsum } from "../../../src/graph/ops/einsum.ts";
import { matmul } from "../../../src/graph/ops/matmul.ts";
import { relu } from "../../../src/graph/ops/piecewise.ts";
import { transpose } from "../../../src/graph/ops/views.ts";
import type { Value } from "../../../src/graph/value.ts";
import { product, sum } from "../../helpers/enclosure.ts";
import type { GraphMaker } from "../../faults/numerics/graph_maker.ts";
import { f32, opCase } from "../op_case.ts";
import { at, placesOf } from "./elements.ts";
import type { OpTwins } from "./op_twin.ts";

/** Twins of `src/graph/ops/matmul.ts`, `batched_matmul.ts` and `einsum.ts`. */
export const matmulTwins: OpTwins = {
  matmul: {
    evaluate: (value, inputs) =>
      factorsOf(value, inputs).map((factors) => factors.reduce((total, [x, y]) => total + x * y, 0)),
    enclose: (value, inputs) =>
      factorsOf(value, inputs).map((factors) => sum(factors.map(([x, y]) => product(x, y)), true)),
    use(maker) {
      if (maker.random.chance(0.5)) return batchedUse(maker);
      const a = maker.matrix();
      const [transposeA, transposeB] = [maker.random.chance(0.3), maker.random.chance(0.3)];
      const k = a.shape[transposeA ? 0 : 1] ?? 0;
      const n = maker.random.pick([1, 3, 4]);
      const b = maker.leaf("f32", transposeB ? [n, k] : [k, n]);
      return matmul(a, b, { transposeA, transposeB });
    },
    // The same odd sizes again and again: each other one is a kernel to compile, which takes long on a CPU adapter.
    cases: [
      opCase("matmul", [f32([3, 5]), f32([5, 2])], (a, b) => matmul(a, b)),
      opCase(
        "matmul with A transposed",
        [f32([5, 3]), f32([5, 2])],
        (a, b) => matmul(a, b, { transposeA: true }),
      ),
      opCase(
        "matmul with B transposed",
        [f32([3, 5]), f32([2, 5])],
        (a, b) => matmul(a, b, { transposeB: true }),
      ),
      opCase(
        "matmul with both transposed",
        [f32([5, 3]), f32([2, 5])],
        (a, b) => matmul(a, b, { transposeA: true, transposeB: true }),
      ),
      opCase(
        "matmul of transposed values",
        [f32([5, 3]), f32([2, 5])],
        (a, b) => matmul(transpose(a), transpose(b)),
      ),
      opCase(
        "a layer with bias and relu",
        [f32([3, 5]), f32([2, 5]), f32([2])],
        (x, weight, bias) => relu(add(matmul(x, weight, { transposeB: true }), bias)),
      ),
      opCase("matmul of vectors", [f32([3]), f32([3, 2]), f32([2])], (a, b, c) => matmul(matmul(a, b), c)),
      opCase("matmul of many rows with a matrix", [f32([2, 3, 4]), f32([4, 5])], (a, b) => matmul(a, b)),
    ],
  },
  batchedMatmul: {
    evaluate: (value, inputs) =>
      batchedFactorsOf(value, inputs).map((factors) => factors.reduce((total, [x, y]) => total + x * y, 0)),
    enclose: (value, inputs) =>
      batchedFactorsOf(value, inputs).map((factors) => sum(factors.map(([x, y]) => product(x, y)), true)),
    cases: [
      opCase("batched matmul", [f32([2, 3, 5]), f32([2, 5, 4])], (a, b) => matmul(a, b)),
      opCase(
        "batched matmul with leading axes that broadcast",
        [f32([2, 1, 3, 5]), f32([3, 5, 2])],
        (a, b) => matmul(a, b),
      ),
      opCase(
        "batched matmul with both transposed",
        [f32([2, 5, 3]), f32([2, 4, 5])],
        (a, b) => matmul(a, b, { transposeA: true, transposeB: true }),
      ),
      opCase(
        "scores of attention heads that lie side by side",
        [f32([2, 3, 4, 5]), f32([2, 3, 4, 5])],
        (q, k) => matmul(transpose(q, [0, 2, 1, 3]), transpose(k, [0, 2, 3, 1])),
      ),
      opCase("a matrix with each of a batch", [f32([3, 5]), f32([2, 5, 4])], (a, b) => matmul(a, b)),
    ],
  },
  einsum: {
    use(maker) {
      const a = maker.f32(({ shape }) => shape.length === 2);
      const b = maker.leaf("f32", [at(a.shape, 1), 3]);
      return einsum(maker.random.pick(["ij,jk->ik", "ij,jk->ki", "ij,jk->jik", "ij,jk"]), a, b);
    },
    cases: [
      opCase("einsum of matrices", [f32([3, 5]), f32([2, 5])], (a, b) => einsum("ij,kj->ki", a, b)),
      opCase(
        "einsum of heads",
        [f32([2, 3, 2, 5]), f32([2, 4, 2, 5])],
        (a, b) => einsum("bqhd,bkhd->bhqk", a, b),
      ),
      opCase(
        "einsum over several axes",
        [f32([3, 2, 4]), f32([4, 2, 5])],
        (a, b) => einsum("ijk,kjl->li", a, b),
      ),
      opCase("einsum of an outer product", [f32([3]), f32([4])], (a, b) => einsum("i,j->ji", a, b)),
      opCase("einsum that sums an axis away", [f32([3, 4]), f32([3])], (a, b) => einsum("ij,i->i", a, b)),
      opCase("einsum to a number", [f32([3, 4]), f32([4, 3])], (a, b) => einsum("ij,ji->", a, b)),
    ],
  },
};

/** A product of a batch, with axes in some order. */
function batchedUse(maker: GraphMaker): Value {
  const known = maker.f32(({ shape }) => shape.length === 3);
  const a = known.shape.length === 3 ? known : maker.leaf("f32", [2, 3, 4]);
  const [first = 0, second = 0, third = 0] = a.shape;
  if (maker.random.chance(0.3)) {
    return matmul(transpose(a, [1, 0, 2]), maker.leaf("f32", [second, third, 3]));
  }
  const other = maker.random.pick([[first, third, 3], [1, third, 3], [third, 4], [third]]);
  return matmul(a, maker.leaf("f32", other));
}

/** What is multiplied and added up for each element of a batch of products. */
function batchedFactorsOf<T>(value: Value, inputs: readonly ArrayLike<T>[]): [T, T][][] {
  const { permutationA, permutationB } = value.attributes as Record<string, readonly number[]>;
  const elementOf = (which: number, permutation: readonly number[] = [], place: readonly number[]): T => {
    const { shape } = at(value.inputs, which);
    const own = shape.map((size, axis) => size === 1 ? 0 : at(place, permutation.indexOf(axis)));
    const offset = own.reduce((total, x, axis) => total * at(shape, axis) + x, 0);
    return at(at(inputs, which), offset);
  };
  const k = at(at(value.inputs, 0).shape, permutationA?.at(-1) ?? 0);
  return placesOf(value.shape).map((place) => {
    const batch = place.slice(0, -2);
    const [row = 0, column = 0] = place.slice(-2);
    return Array.from({ length: k }, (_, step): [T, T] => [
      elementOf(0, permutationA, [...batch, row, step]),
      elementOf(1, permutationB, [...batch, step, column]),
    ]);
  });
}

/** What is multiplied and added up for each element of the product. */
function factorsOf<T>(value: Value, inputs: readonly ArrayLike<T>[]): [T, T][][] {
  const { transposeA, transposeB } = value.attributes as { transposeA: boolean; transposeB: boolean };
  const [m = 0, n = 0] = value.shape;
  const [a, b] = [at(inputs, 0), at(inputs, 1)];
  const k = at(at(value.inputs, 0).shape, transposeA ? 0 : 1);
  return Array.from({ length: m * n }, (_, index) => {
    const [row, column] = [Math.floor(index / n), index % n];
    return Array.from({ length: k }, (_, step): [T, T] => [
      at(a, transposeA ? step * m + row : row * k + step),
      at(b, transposeB ? column * k + step : step * n + column),
    ]);
  });
}
