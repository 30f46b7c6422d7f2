import { add } from "../../../src/graph/ops/arithmetic.ts";
import { matmul } from "../../../src/graph/ops/matmul.ts";
import { relu } from "../../../src/graph/ops/piecewise.ts";
import { transpose } from "../../../src/graph/ops/views.ts";
import type { Value } from "../../../src/graph/value.ts";
import { product, sum } from "../../helpers/enclosure.ts";
import { f32, opCase } from "../op_case.ts";
import { at } from "./elements.ts";
import type { OpTwins } from "./op_twin.ts";

/** Twin of `src/graph/ops/matmul.ts`. */
export const matmulTwins: OpTwins = {
  matmul: {
    evaluate: (value, inputs) =>
      factorsOf(value, inputs).map((factors) => factors.reduce((total, [x, y]) => total + x * y, 0)),
    enclose: (value, inputs) =>
      factorsOf(value, inputs).map((factors) => sum(factors.map(([x, y]) => product(x, y)), true)),
    use(maker) {
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
    ],
  },
};

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
