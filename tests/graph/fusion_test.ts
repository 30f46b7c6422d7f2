import { describe, expect, test } from "bun:test";
import { gradients } from "../../src/graph/autodiff.ts";
import { fuse, type FusedGroup } from "../../src/graph/fusion.ts";
import { add, mul, square } from "../../src/graph/ops/arithmetic.ts";
import { full } from "../../src/graph/ops/fill.ts";
import { matmul } from "../../src/graph/ops/matmul.ts";
import { relu } from "../../src/graph/ops/piecewise.ts";
import { mean } from "../../src/graph/ops/reduce.ts";
import { sum } from "../../src/graph/ops/sum.ts";
import { exp, tanh } from "../../src/graph/ops/transcendental.ts";
import { reshape, stopGradient } from "../../src/graph/ops/views.ts";
import { constant, input, stepScalar } from "../../src/graph/ops/sources.ts";
import type { Value } from "../../src/graph/value.ts";
import { operandsOf } from "../../src/kernels/elementwise/expression.ts";

const x = input("x", "f32", [4, 3]);
const y = input("y", "f32", [4, 3]);
const row = input("row", "f32", [3]);

function groupsOf(...roots: Value[]): FusedGroup[] {
  return [...fuse(roots).values()];
}

/** What a kernel reads in memory. */
function sourcesOf(group: FusedGroup | undefined): Value[] {
  return (group?.leaves ?? []).map(({ source }) => source);
}

/** Each kernel as the ops in it. */
function opsOf(groups: readonly FusedGroup[]): string[] {
  return groups.map(({ members }) => members.map(({ op }) => op).join(" "));
}

describe("elementwise fusion", () => {
  test("a chain is one kernel that reads only what is in memory", () => {
    const [group, ...more] = groupsOf(tanh(add(mul(x, y), row)));
    expect(more).toEqual([]);
    expect(sourcesOf(group)).toEqual([x, y, row]);
    expect(opsOf(group ? [group] : [])).toEqual(["mul add tanh"]);
  });

  test("a value used twice inside one kernel is one node of its expression", () => {
    const t = tanh(x);
    const [group] = groupsOf(add(mul(t, t), t));
    expect(group?.members.length).toBe(3);
    const { expression } = group ?? {};
    const [product, term] = expression === undefined ? [] : operandsOf(expression);
    if (term === undefined) throw new Error("not a sum");
    const factors = product === undefined ? [] : operandsOf(product);
    expect(factors.length).toBe(2);
    for (const factor of factors) expect(factor).toBe(term);
  });

  test("an expensive value that two kernels use is computed once, in memory", () => {
    const expensive = exp(x);
    const groups = groupsOf(sum(mul(expensive, 2)), sum(mul(expensive, y)));
    expect(opsOf(groups)).toEqual(["exp", "number mul", "mul"]);
    expect(sourcesOf(groups[1])).toEqual([expensive]);
  });

  test("a cheap value of one tensor that two kernels use is computed in both", () => {
    const cheap = mul(x, 2);
    const groups = groupsOf(sum(add(cheap, 1)), sum(mul(cheap, y)));
    expect(groups.map(({ root }) => root.op)).toEqual(["add", "mul"]);
    expect(groups.map(sourcesOf)).toEqual([[x], [x, y]]);
  });

  test("a cheap value of two tensors that two kernels use is kept in memory, since reading it once is less", () => {
    const both = add(x, y);
    const groups = groupsOf(sum(square(both)), sum(mul(both, 3)));
    expect(groups.map(({ root }) => root.op)).toEqual(["add", "square", "mul"]);
  });

  test("an expensive row is not computed again for every row that it is added to", () => {
    const groups = groupsOf(add(x, exp(row)));
    expect(opsOf(groups)).toEqual(["exp", "add"]);
  });

  test("a cheap row is computed again for every row that it is added to", () => {
    expect(opsOf(groupsOf(add(x, mul(row, 2))))).toEqual(["number mul add"]);
  });

  test("a value that a kernel op reads is in memory, and other kernels read it there", () => {
    const hidden = relu(x);
    const groups = groupsOf(matmul(hidden, reshape(row, [3, 1])), sum(mul(hidden, 2)));
    expect(groups.map(({ root }) => root.op)).toEqual(["relu", "mul"]);
    expect(sourcesOf(groups[1])).toEqual([hidden]);
  });

  test("what a program keeps is in memory", () => {
    const inner = mul(x, 2);
    expect(groupsOf(inner, add(inner, 1)).map(({ root }) => root.op)).toEqual(["mul", "add"]);
  });

  test("numbers and step scalars are part of the kernel and take no binding", () => {
    const [group] = groupsOf(add(mul(x, stepScalar(3)), full([4, 3], 7)));
    expect(sourcesOf(group)).toEqual([x]);
    expect(group?.usesScalars).toBe(true);
  });

  test("a number that is kept for itself still is a literal elsewhere", () => {
    const two = constant(2);
    const groups = groupsOf(two, mul(x, two));
    expect(groups.map((group) => [group.root.op, sourcesOf(group)])).toEqual([["number", []], ["mul", [x]]]);
  });

  test("stopGradient does not end a kernel", () => {
    expect(opsOf(groupsOf(exp(stopGradient(add(x, y)))))).toEqual(["add exp"]);
  });

  test("a kernel binds at most seven tensors and its output", () => {
    const many = Array.from({ length: 20 }, (_, index) => input(`in${index}`, "f32", [4, 3]));
    const groups = groupsOf(many.reduce<Value>((total, value) => add(total, value), x));
    expect(Math.max(...groups.map(({ leaves }) => leaves.length))).toBe(7);
    expect(groups.reduce((total, { members }) => total + members.length, 0)).toBe(20);
  });

  test("a chain without end is cut into kernels of 256 ops", () => {
    const chain = Array.from({ length: 1000 }).reduce<Value>((value) => tanh(value), x);
    expect(groupsOf(chain).map(({ members }) => members.length)).toEqual([232, 256, 256, 256]);
  });

  test("every leaf is an input, a kernel's output or the root of an earlier kernel", () => {
    const weight = input("w", "f32", [3, 3]);
    const loss = mean(square(tanh(add(matmul(relu(add(matmul(x, weight), row)), weight), row))));
    const groups = fuse([loss, ...gradients(loss, [weight, row])]);
    const seen = new Set<Value>();
    for (const [root, group] of groups) {
      const leaves = sourcesOf(group);
      for (const leaf of leaves) expect(seen.has(leaf) || !groups.has(leaf)).toBe(true);
      for (const leaf of leaves) expect(leaf.id).toBeLessThan(root.id);
      seen.add(root);
    }
  });
});
