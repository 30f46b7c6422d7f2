import { describe, expect, test } from "bun:test";
import { gradients } from "../../src/graph/autodiff.ts";
import { flopsOf } from "../../src/graph/flops.ts";
import { add, mul } from "../../src/graph/ops/arithmetic.ts";
import { attention } from "../../src/graph/ops/attention/attention.ts";
import { exp } from "../../src/graph/ops/transcendental.ts";
import { matmul } from "../../src/graph/ops/matmul.ts";
import { input } from "../../src/graph/ops/sources.ts";
import { conv2d } from "../../src/graph/ops/spatial/convolution.ts";
import { sum } from "../../src/graph/ops/sum.ts";
import { reshape, transpose } from "../../src/graph/ops/views.ts";
import { reachable, type Value } from "../../src/graph/value.ts";

/** All operations on the way to some values. */
function allFlops(...roots: Value[]): number {
  return reachable(roots).reduce((total, value) => total + flopsOf(value), 0);
}

const x = (name: string, ...shape: number[]): Value => input(name, "f32", shape);

describe("flopsOf", () => {
  test("counts a product and a sum of a matmul, whatever is transposed, and each product of its gradients", () => {
    const [a, b] = [x("a", 7, 5), x("b", 5, 3)];
    const product = matmul(a, b);
    expect(allFlops(product)).toBe(2 * 7 * 5 * 3);
    expect(allFlops(matmul(x("c", 5, 7), x("d", 3, 5), { transposeA: true, transposeB: true }))).toBe(
      2 * 7 * 5 * 3,
    );
    expect(allFlops(matmul(x("e", 4, 7, 5), x("f", 4, 5, 3)))).toBe(4 * 2 * 7 * 5 * 3);
    const [ofA] = gradients(sum(mul(product, product)), [a]);
    const products = reachable([ofA as Value]).filter(({ op }) => op === "matmul");
    expect(products.map(flopsOf)).toEqual([210, 210]);
  });

  test("counts the three products of a convolution alike", () => {
    const [image, weight] = [x("image", 2, 4, 6, 6), x("weight", 8, 2, 3, 3)];
    const out = conv2d(image, weight, { groups: 2 });
    const products = 2 * (2 * 8 * 4 * 4) * (4 / 2 * 3 * 3);
    expect(flopsOf(out)).toBe(products);
    const found = gradients(sum(mul(out, out)), [image, weight]);
    const all = reachable(found).filter(({ op }) => op.startsWith("convolution"));
    expect(all.map(flopsOf)).toEqual([products, products, products]);
  });

  test("counts an attention by its pairs of queries and keys", () => {
    const [q, k, v] = [x("q", 2, 4, 5, 8), x("k", 2, 4, 7, 8), x("v", 2, 4, 7, 8)];
    const pairs = 2 * 4 * 5 * 7;
    const out = attention(q, k, v);
    expect(flopsOf(out)).toBe(2 * pairs * (8 + 8));
    const found = gradients(sum(mul(out, out)), [q, k, v]);
    const ofGradients = reachable(found).filter(({ op }) => /attention.*Gradient/.test(op));
    expect(ofGradients.reduce((total, value) => total + flopsOf(value), 0)).toBe(2 * pairs * (24 + 32));
  });

  test("counts one for each element, and none for moving them", () => {
    const a = x("a", 3, 4);
    expect([flopsOf(add(a, a)), flopsOf(exp(a)), allFlops(sum(a))]).toEqual([12, 12, 12]);
    expect([flopsOf(a), flopsOf(reshape(a, [12])), flopsOf(transpose(a))]).toEqual([0, 0, 0]);
  });
});
