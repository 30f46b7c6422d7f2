import { describe, expect, test } from "bun:test";
import { gradients } from "../../../src/graph/autodiff.ts";
import { fuse } from "../../../src/graph/fusion.ts";
import * as ops from "../../../src/graph/ops.ts";
import { reachable, type Value } from "../../../src/graph/value.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { runValues } from "../run_values.ts";

const { einsum, input, matmul, transpose } = ops;

function f32(...shape: number[]): Value {
  return input("x", "f32", shape);
}

function opsOf(...values: Value[]): string[] {
  return reachable(values).map(({ op }) => op).filter((op) => op !== "input");
}

describe("shapes of products", () => {
  test("OP-01 matmul takes leading axes that broadcast, and vectors, as NumPy does", () => {
    expect(matmul(f32(7, 2, 3), f32(7, 3, 4)).shape).toEqual([7, 2, 4]);
    expect(matmul(f32(5, 1, 2, 3), f32(7, 3, 4)).shape).toEqual([5, 7, 2, 4]);
    expect(matmul(f32(5, 7, 2, 3), f32(3, 4)).shape).toEqual([5, 7, 2, 4]);
    expect(matmul(f32(2, 3), f32(5, 3, 4)).shape).toEqual([5, 2, 4]);
    expect(matmul(f32(3), f32(3)).shape).toEqual([]);
    expect(matmul(f32(3), f32(3, 4)).shape).toEqual([4]);
    expect(matmul(f32(5, 2, 3), f32(3)).shape).toEqual([5, 2]);
    expect(matmul(f32(3), f32(5, 3, 4)).shape).toEqual([5, 4]);
    expect(matmul(f32(0, 2, 3), f32(0, 3, 4)).shape).toEqual([0, 2, 4]);
    expect(matmul(f32(6, 3, 2), f32(6, 4, 3), { transposeA: true, transposeB: true }).shape).toEqual([
      6,
      2,
      4,
    ]);
  });

  test("OP-01 einsum names axes by letters, in any order of the result", () => {
    expect(einsum("ij,jk->ki", f32(2, 3), f32(3, 4)).shape).toEqual([4, 2]);
    expect(einsum("bqhd,bkhd->bhqk", f32(2, 3, 4, 5), f32(2, 6, 4, 5)).shape).toEqual([2, 4, 3, 6]);
    expect(einsum("ij, jk", f32(2, 3), f32(3, 4)).shape).toEqual([2, 4]);
    expect(einsum("i,i->", f32(3), f32(3)).shape).toEqual([]);
    expect(einsum("i,j->ij", f32(3), f32(4)).shape).toEqual([3, 4]);
  });
});

describe("operands of products", () => {
  test("OP-01 rows of a batch with one matrix are one matmul, and its weight's gradient is one too", () => {
    const weight = input("w", "f32", [4, 5]);
    const product = matmul(f32(2, 3, 4), weight);
    expect(opsOf(product)).toEqual(["reshape", "matmul", "reshape"]);
    const [gradient = product] = gradients(ops.sum(ops.square(product)), [weight]);
    expect(opsOf(gradient).filter((op) => op.includes("atmul"))).toEqual(["matmul", "matmul"]);
  });

  test("OP-01 every transposition is read in place, of the matrices and of the axes before them", () => {
    const [q, k] = [input("q", "f32", [2, 3, 4, 5]), input("k", "f32", [2, 3, 4, 5])];
    const scores = matmul(transpose(q, [0, 2, 1, 3]), transpose(k, [0, 2, 3, 1]));
    expect(opsOf(scores)).toEqual(["batchedMatmul"]);
    expect(opsOf(einsum("bqhd,bkhd->bhqk", q, k))).toEqual(["batchedMatmul"]);
    expect(opsOf(matmul(transpose(f32(7, 3, 2), [0, 2, 1]), input("y", "f32", [7, 3, 4])))).toEqual([
      "batchedMatmul",
    ]);
    expect(opsOf(matmul(f32(3), transpose(input("y", "f32", [4, 3]))))).toEqual([
      "reshape",
      "matmul",
      "reshape",
    ]);
  });

  test("OP-01 the gradients of a batch stored transposed are computed as they are stored", () => {
    const [a, b] = [input("a", "f32", [7, 3, 2]), input("b", "f32", [7, 4, 3])];
    const loss = ops.sum(matmul(a, b, { transposeA: true, transposeB: true }));
    const kernels = [...fuse(gradients(loss, [a, b])).values()].map(({ members }) =>
      members.map(({ op }) => op)
    );
    expect(kernels.flat().filter((op) => op === "transpose")).toEqual([]);
  });

  test("OP-01 matrices without a contiguous axis are copied once", () => {
    const turned = transpose(f32(4, 3, 5), [2, 1, 0]);
    expect(opsOf(matmul(turned, input("y", "f32", [5, 4, 2])))).toEqual(["transpose", "batchedMatmul"]);
  });

  gpuTest("OP-01 a batch has the bits that its matrices have alone", async (gpu) => {
    const x = Array.from({ length: 2 * 9 * 17 }, (_, index) => Math.fround(Math.sin(index)));
    const y = Array.from({ length: 2 * 17 * 12 }, (_, index) => Math.fround(Math.cos(index)));
    const [a, b] = [f32(2, 9, 17), input("y", "f32", [2, 17, 12])];
    const alone = [0, 1].map((which) => {
      const of = (value: Value) =>
        ops.squeeze(ops.slice(value, { start: which, end: which + 1 }), { axes: 0 });
      return matmul(of(a), of(b));
    });
    const found = await runValues(gpu, [matmul(a, b), ...alone], { x, y });
    const numbers = found.map((tensor) => Array.from(tensor.toArray(), Number));
    expect(numbers[0]).toEqual([...numbers[1] ?? [], ...numbers[2] ?? []]);
  });

  gpuTest("OP-01 NaN and infinity stay in their own matrix, and products of nothing are 0", async (gpu) => {
    const a = f32(2, 2, 2);
    const b = input("y", "f32", [2, 2, 1]);
    const made = [matmul(a, b), matmul(ops.slice(a, { axis: 2, end: 0 }), ops.slice(b, { axis: 1, end: 0 }))];
    const [found, nothing] = await runValues(gpu, made, {
      x: [1, NaN, 2, 3, 1, 2, Infinity, 0],
      y: [1, 1, 1, 0],
    });
    expect(Array.from(found?.toArray() ?? [], Number)).toEqual([NaN, 5, 1, Infinity]);
    expect(Array.from(nothing?.toArray() ?? [], Number)).toEqual([0, 0, 0, 0]);
  });
});

describe("mistakes with products", () => {
  const mistakes: [name: string, make: () => unknown, message: string][] = [
    [
      "inner sizes of a batch that differ",
      () => matmul(f32(2, 3, 4), f32(2, 5, 4)),
      "matmul: [2, 3, 4] and [2, 5, 4] do not fit: the inner sizes are 4 and 5",
    ],
    [
      "leading axes that do not broadcast",
      () => matmul(f32(2, 3, 4), f32(3, 4, 5)),
      "matmul: [2, 3, 4] and [3, 4, 5] do not fit: their leading axes do not broadcast",
    ],
    [
      "a transposed vector",
      () => matmul(f32(3), f32(3, 4), { transposeA: true }),
      "one is a vector, which has no transpose",
    ],
    ["a vector that is too long", () => matmul(f32(2, 3), f32(4)), "the inner sizes are 3 and 4"],
    [
      "an equation of one operand",
      () => einsum("ij->ji", f32(2, 3), f32(3)),
      'einsum: "ij->ji" is no equation of two operands',
    ],
    [
      "an axis twice in an operand",
      () => einsum("ii,i->i", f32(2, 2), f32(2)),
      'einsum: "ii,i->i" has i twice in an operand',
    ],
    ["an axis that no operand has", () => einsum("ij,jk->il", f32(2, 3), f32(3, 4)), "has the axis l"],
    [
      "letters for other axes",
      () => einsum("ij,jk->ik", f32(2, 3), f32(3)),
      "does not fit shapes [2, 3] and [3]: a letter stands for each axis",
    ],
    [
      "a letter of two sizes",
      () => einsum("ij,jk->ik", f32(2, 3), f32(4, 5)),
      "does not fit shapes [2, 3] and [4, 5]: j is 3 and 4",
    ],
  ];
  for (const [name, make, message] of mistakes) {
    test(`OP-01 refuses ${name}, and says what to do`, () => expect(make).toThrow(message));
  }
});
