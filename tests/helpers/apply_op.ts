import { definitionOf } from "../../src/graph/create_value.ts";
import { item } from "../../src/graph/op.ts";
import * as ops from "../../src/graph/ops.ts";
import type { Value } from "../../src/graph/value.ts";
import type { ComputeDType, Expression } from "../../src/kernels/elementwise/expression.ts";

type NamesOf<F> = {
  [Name in keyof typeof ops]: (typeof ops)[Name] extends F ? Name : never;
}[keyof typeof ops];

/** Names of ops of one operand. */
export type UnaryOp = NamesOf<(a: Value) => Value>;

/** Names of ops of two operands. */
export type BinaryOp = NamesOf<(a: Value, b: Value) => Value>;

/** What `op` computes of `a`. */
export function unary(op: UnaryOp, a: Expression): Expression {
  return applied(typedFor(op, (dtype) => ops[op](ops.input("a", dtype, []))), [a]);
}

/** What `op` computes of `a` and `b`. */
export function binary(op: BinaryOp, a: Expression, b: Expression): Expression {
  return applied(
    typedFor(op, (dtype) => ops[op](ops.input("a", dtype, []), ops.input("b", dtype, []))),
    [a, b],
  );
}

/** A value of `op` of any dtype that it takes: what it computes is said for all of them at once. */
function typedFor(op: string, make: (dtype: ComputeDType) => Value): Value {
  for (const dtype of ["f32", "u32"] as const) {
    try {
      return make(dtype);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
  }
  throw new Error(`"${op}" takes neither f32 nor u32`);
}

function applied(value: Value, operands: readonly Expression[]): Expression {
  const { lowering } = definitionOf(value);
  if (lowering.kind !== "elementwise") throw new Error(`"${value.op}" is not elementwise`);
  return lowering.expression(value, operands.map((_, index) => item(operands, index)));
}
