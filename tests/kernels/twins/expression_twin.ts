import type { ElementwiseFunction, Expression } from "../../../src/kernels/elementwise/expression.ts";
import { elementOf } from "../../graph/ops/element_twins.ts";

/** An element and the dtype it is in. */
export interface Element {
  readonly value: number;
  readonly dtype: "f32" | "i32" | "u32";
}

/** The value of `expression` for one element: floats in float64, integers as 32-bit integers wrap. */
export function expressionTwin(
  expression: Expression,
  inputs: readonly Element[],
  scalars: readonly number[] = [],
): Element {
  const evaluate = (operand: Expression) => expressionTwin(operand, inputs, scalars);
  switch (expression.kind) {
    case "input":
      return inputs[expression.index] ?? { value: NaN, dtype: "f32" };
    case "constant":
      return { value: expression.value, dtype: expression.dtype };
    case "scalar":
      return { value: scalars[expression.index] ?? 0, dtype: "f32" };
    case "apply":
      return applied(expression.function, expression.operands.map(evaluate));
    case "select":
      return evaluate(expression.condition).value !== 0 ? evaluate(expression.a) : evaluate(expression.b);
    case "cast":
      return cast(evaluate(expression.a), expression.dtype);
  }
}

function applied({ name, gives }: ElementwiseFunction, operands: readonly Element[]): Element {
  const dtype = operands[0]?.dtype ?? "f32";
  return { value: elementOf(name, operands.map(({ value }) => value), dtype), dtype: gives ?? dtype };
}

function cast({ value, dtype: from }: Element, dtype: Element["dtype"]): Element {
  if (dtype === "f32") return { value: Math.fround(value), dtype };
  if (from !== "f32") return wrap(value, dtype);
  const [low, high] = dtype === "i32" ? [-(2 ** 31), 2 ** 31 - 1] : [0, 2 ** 32 - 1];
  return { value: Number.isNaN(value) ? 0 : Math.min(Math.max(Math.trunc(value), low), high), dtype };
}

function wrap(value: number, dtype: Element["dtype"]): Element {
  if (dtype === "f32") return { value, dtype };
  return { value: dtype === "i32" ? value | 0 : value >>> 0, dtype };
}
