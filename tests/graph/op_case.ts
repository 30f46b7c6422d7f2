import type { DType } from "../../src/base/dtype.ts";
import { constant, input } from "../../src/graph/ops/sources.ts";
import type { Value } from "../../src/graph/value.ts";
import type { Shape } from "../../src/tensor/shape.ts";

/** An operand of a case: where its elements are drawn from. */
export interface Operand {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly from: number;
  readonly to: number;
}

/** A use of one or more ops, for the gradient check on the host and the comparison on the GPU. */
export interface OpCase {
  readonly name: string;
  readonly operands: readonly Operand[];
  readonly build: (operands: readonly Value[]) => Value;
}

/** An f32 operand; its range keeps clear of where a function has no derivative. */
export function f32(shape: Shape, from = -2, to = 2): Operand {
  return { shape, dtype: "f32", from, to };
}

/** A u32 operand below `to`. */
export function u32(shape: Shape, to: number): Operand {
  return { shape, dtype: "u32", from: 0, to };
}

type Build = (a: Value, b: Value, c: Value) => Value;

/** A case; operands that it does not have are zeros of shape `[]`, which it does not use. */
export function opCase(name: string, operands: readonly Operand[], build: Build): OpCase {
  const unused = constant(0);
  return { name, operands, build: ([a = unused, b = unused, c = unused]) => build(a, b, c) };
}

/** Deterministic elements for an operand; integers for integer dtypes. `f32` values are exact in `f32`. */
export function elementsOf(operand: Operand, seed: number): number[] {
  let state = seed * 7919 + 12345;
  const count = operand.shape.reduce((product, size) => product * size, 1);
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const x = operand.from + (operand.to - operand.from) * (state / 2 ** 32);
    return operand.dtype === "f32" ? Math.fround(x) : Math.floor(x);
  });
}

/** The case's operands as inputs named a, b, c. */
export function operandValues(opCase: OpCase): Value[] {
  return opCase.operands.map((operand, index) => input(operandName(index), operand.dtype, operand.shape));
}

/** Elements of all operands by input name. */
export function operandElements(opCase: OpCase): Record<string, number[]> {
  return Object.fromEntries(
    opCase.operands.map((operand, index) => [operandName(index), elementsOf(operand, index + 1)]),
  );
}

function operandName(index: number): string {
  return "abcdefgh"[index] ?? "z";
}
