import type { BinaryOp, Expression, UnaryOp } from "../../../src/kernels/elementwise/expression.ts";

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
    case "unary":
      return unary(expression.op, evaluate(expression.a));
    case "binary":
      return binary(expression.op, evaluate(expression.a), evaluate(expression.b));
    case "select":
      return evaluate(expression.condition).value !== 0 ? evaluate(expression.a) : evaluate(expression.b);
    case "cast":
      return cast(evaluate(expression.a), expression.dtype);
  }
}

function unary(op: UnaryOp, { value: x, dtype }: Element): Element {
  if (op === "not") return truth(x === 0);
  if (op === "isnan") return truth(Number.isNaN(x));
  if (op === "square") return binary("mul", { value: x, dtype }, { value: x, dtype });
  return wrap(UNARY[op](x), dtype);
}

const UNARY: Readonly<Record<Exclude<UnaryOp, "not" | "isnan" | "square">, (x: number) => number>> = {
  neg: (x) => -x,
  abs: Math.abs,
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  relu: (x) => Number.isNaN(x) ? x : Math.max(x, 0),
  sin: Math.sin,
  cos: Math.cos,
  floor: Math.floor,
  sign: Math.sign,
  reciprocal: (x) => 1 / x,
};

function binary(op: BinaryOp, a: Element, b: Element): Element {
  const [x, y] = [a.value, b.value];
  switch (op) {
    case "equal":
      return truth(x === y);
    case "notEqual":
      return truth(x !== y);
    case "less":
      return truth(x < y);
    case "lessEqual":
      return truth(x <= y);
    case "greater":
      return truth(x > y);
    case "greaterEqual":
      return truth(x >= y);
    case "and":
      return truth(x !== 0 && y !== 0);
    case "or":
      return truth(x !== 0 || y !== 0);
    case "add":
      return wrap(x + y, a.dtype);
    case "sub":
      return wrap(x - y, a.dtype);
    case "mul":
      return a.dtype === "f32" ? wrap(x * y, "f32") : wrap(Math.imul(x, y), a.dtype);
    case "div":
      return a.dtype === "f32" ? wrap(x / y, "f32") : wrap(y === 0 ? x : Math.trunc(x / y), a.dtype);
    case "mod":
      return a.dtype === "f32" ? wrap(x % y, "f32") : wrap(y === 0 ? 0 : x % y, a.dtype);
    case "pow":
      return wrap(power(x, y), a.dtype);
    case "max":
      return wrap(Math.max(x, y), a.dtype);
    case "min":
      return wrap(Math.min(x, y), a.dtype);
  }
}

/** As C has it. JavaScript gives NaN for 1 to a power that is NaN, and for 1 and -1 to one that is infinite. */
function power(x: number, y: number): number {
  return x === 1 || x === -1 && Math.abs(y) === Infinity ? 1 : x ** y;
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

function truth(isTrue: boolean): Element {
  return { value: Number(isTrue), dtype: "u32" };
}
