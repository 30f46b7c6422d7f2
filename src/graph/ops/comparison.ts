import type { Expression } from "../../kernels/elementwise/expression.ts";
import { item, type OpDefinition } from "../op.ts";
import { createValue, type Value } from "../value.ts";
import { binaryOp, binaryValue, type Operand, operandsOf, unaryOp, unaryValue } from "./elementwise.ts";
import { broadcastOf, requireComputeDType, requireDType, requireSameDType } from "./requirements.ts";
import { sumTo } from "./sum.ts";

// Comparisons give u32 0 or 1 and have no gradient. A comparison with NaN is 0, except notEqual, which is 1.

/** 1 where `a` equals `b`. */
export function equal(a: Operand, b: Operand): Value {
  return binaryValue("equal", a, b, { result: "u32" });
}

/** 1 where `a` differs from `b`, or one of them is NaN. */
export function notEqual(a: Operand, b: Operand): Value {
  return binaryValue("notEqual", a, b, { result: "u32" });
}

/** 1 where `a < b`. */
export function less(a: Operand, b: Operand): Value {
  return binaryValue("less", a, b, { result: "u32" });
}

/** 1 where `a <= b`. */
export function lessEqual(a: Operand, b: Operand): Value {
  return binaryValue("lessEqual", a, b, { result: "u32" });
}

/** 1 where `a > b`. */
export function greater(a: Operand, b: Operand): Value {
  return binaryValue("greater", a, b, { result: "u32" });
}

/** 1 where `a >= b`. */
export function greaterEqual(a: Operand, b: Operand): Value {
  return binaryValue("greaterEqual", a, b, { result: "u32" });
}

/** 1 where neither of two `u32` is 0. */
export function logicalAnd(a: Value, b: Value): Value {
  return binaryValue("logicalAnd", a, b, { allowed: ["u32"] });
}

/** 1 where not both of two `u32` are 0. */
export function logicalOr(a: Value, b: Value): Value {
  return binaryValue("logicalOr", a, b, { allowed: ["u32"] });
}

/** 1 where a `u32` is 0. */
export function logicalNot(a: Value): Value {
  return unaryValue("logicalNot", a, ["u32"], "u32");
}

/** 1 where `a` is NaN. */
export function isNaNValue(a: Value): Value {
  return unaryValue("isNaNValue", a, ["f32"], "u32");
}

/**
 * `a` where `condition` (`u32` or `bool`) is not 0, `b` elsewhere; all three broadcast. What is not taken does not
 * count, also where it is NaN; but its gradient is 0 times the derivative there, NaN where that is infinite.
 */
export function where(condition: Value, a: Operand, b: Operand): Value {
  const [left, right] = operandsOf(a, b);
  requireDType("where", condition, ["u32", "bool"]);
  requireComputeDType("where", left);
  requireSameDType("where", left, right);
  const branches = { ...left, shape: broadcastOf("where", left, right) };
  return createValue(
    "where",
    [condition, left, right],
    {},
    left.dtype,
    broadcastOf("where", condition, branches),
  );
}

/** Gradient of where: each branch gets the gradient where it was taken. */
export const whereOp: OpDefinition = {
  name: "where",
  lowering: {
    kind: "elementwise",
    cost: "cheap",
    expression: (_value, inputs): Expression => ({
      kind: "select",
      condition: item(inputs, 0),
      a: item(inputs, 1),
      b: item(inputs, 2),
    }),
  },
  gradient(value, outGrad) {
    if (value.dtype !== "f32") return [];
    const condition = item(value.inputs, 0);
    return [
      undefined,
      sumTo(where(condition, outGrad, 0), item(value.inputs, 1).shape),
      sumTo(where(condition, 0, outGrad), item(value.inputs, 2).shape),
    ];
  },
};

/** Every op of this family. */
export const comparisonOps: readonly OpDefinition[] = [
  binaryOp("equal", "equal", "cheap"),
  binaryOp("notEqual", "notEqual", "cheap"),
  binaryOp("less", "less", "cheap"),
  binaryOp("lessEqual", "lessEqual", "cheap"),
  binaryOp("greater", "greater", "cheap"),
  binaryOp("greaterEqual", "greaterEqual", "cheap"),
  binaryOp("and", "logicalAnd", "cheap"),
  binaryOp("or", "logicalOr", "cheap"),
  unaryOp("not", "logicalNot", "cheap"),
  unaryOp("isnan", "isNaNValue", "cheap"),
  whereOp,
];
