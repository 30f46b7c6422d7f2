import type { Term } from "../../kernels/elementwise/expression.ts";
import { isTrue } from "../../kernels/elementwise/expression_wgsl.ts";
import { createValue } from "../create_value.ts";
import { item, type OpDefinition } from "../op.ts";
import type { Value } from "../value.ts";
import { binaryOp, type Operand, operandsOf, unaryOp } from "./elementwise.ts";
import { drawnAgain } from "./gradients/drawn_again.ts";
import {
  ANY,
  broadcastOf,
  FLOAT,
  LOGICAL,
  requireComputeDType,
  requireDType,
  requireSameDType,
} from "./requirements.ts";

// Comparisons give u32 0 or 1 and have no gradient. A comparison with NaN is 0, except notEqual, which is 1. A compiler
// that assumes that there is no NaN finds `x == x` true, and Mesa's `!=` is false for a NaN. So the comparisons that
// hold for equals ask whether there is one, and so does notEqual.

/** 1 where `a` equals `b`. */
export const equal: (a: Operand, b: Operand) => Value = binaryOp({
  name: "equal",
  takes: ANY,
  gives: "u32",
  wgsl: (x, y) => `Unsigned(${holdsForNumbers(x, "==", y)})`,
});

/** 1 where `a` differs from `b`, or one of them is NaN. */
export const notEqual: (a: Operand, b: Operand) => Value = binaryOp({
  name: "notEqual",
  takes: ANY,
  gives: "u32",
  wgsl(x, y) {
    const differ = `(${x.text} != ${y.text})`;
    return `Unsigned(${x.dtype === "f32" ? `${differ} | is_nan(${x.text}) | is_nan(${y.text})` : differ})`;
  },
});

/** 1 where `a < b`. */
export const less: (a: Operand, b: Operand) => Value = binaryOp({
  name: "less",
  takes: ANY,
  gives: "u32",
  wgsl: (x, y) => `Unsigned((${x.text} < ${y.text}))`,
});

/** 1 where `a <= b`. */
export const lessEqual: (a: Operand, b: Operand) => Value = binaryOp({
  name: "lessEqual",
  takes: ANY,
  gives: "u32",
  wgsl: (x, y) => `Unsigned(${holdsForNumbers(x, "<=", y)})`,
});

/** 1 where `a > b`. */
export const greater: (a: Operand, b: Operand) => Value = binaryOp({
  name: "greater",
  takes: ANY,
  gives: "u32",
  wgsl: (x, y) => `Unsigned((${x.text} > ${y.text}))`,
});

/** 1 where `a >= b`. */
export const greaterEqual: (a: Operand, b: Operand) => Value = binaryOp({
  name: "greaterEqual",
  takes: ANY,
  gives: "u32",
  wgsl: (x, y) => `Unsigned(${holdsForNumbers(x, ">=", y)})`,
});

/** 1 where neither of two `u32` is 0. */
export const logicalAnd: (a: Value, b: Value) => Value = binaryOp({
  name: "logicalAnd",
  takes: LOGICAL,
  wgsl: (x, y) => `Unsigned(${isTrue(x)} & ${isTrue(y)})`,
});

/** 1 where not both of two `u32` are 0. */
export const logicalOr: (a: Value, b: Value) => Value = binaryOp({
  name: "logicalOr",
  takes: LOGICAL,
  wgsl: (x, y) => `Unsigned(${isTrue(x)} | ${isTrue(y)})`,
});

/** 1 where a `u32` is 0. */
export const logicalNot: (a: Value) => Value = unaryOp({
  name: "logicalNot",
  takes: LOGICAL,
  wgsl: (x) => `Unsigned(${x.text} == Unsigned())`,
});

/** 1 where `a` is NaN. */
export const isNaNValue: (a: Value) => Value = unaryOp({
  name: "isNaNValue",
  takes: FLOAT,
  gives: "u32",
  wgsl: (x) => `Unsigned(is_nan(${x.text}))`,
});

/** 1 where `a` is neither NaN nor infinite. */
export const isFinite: (a: Value) => Value = unaryOp({
  name: "isFinite",
  takes: FLOAT,
  gives: "u32",
  wgsl: (x) => `Unsigned((bitcast<Unsigned>(${x.text}) & Unsigned(0x7f800000u)) != Unsigned(0x7f800000u))`,
});

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
    whereOp,
    [condition, left, right],
    {},
    left.dtype,
    broadcastOf("where", condition, branches),
  );
}

/**
 * Gradient of where: each branch gets the gradient where it was taken. What was drawn, as of dropout, is drawn again
 * for it, so that no step has to keep as many random numbers as activations.
 */
export const whereOp: OpDefinition = {
  name: "where",
  lowering: {
    kind: "elementwise",
    cost: "cheap",
    expression: (_value, inputs) => ({
      kind: "select",
      condition: item(inputs, 0),
      a: item(inputs, 1),
      b: item(inputs, 2),
    }),
  },
  gradient(value, outGrad) {
    if (value.dtype !== "f32") return [];
    const condition = drawnAgain(item(value.inputs, 0));
    return [undefined, where(condition, outGrad, 0), where(condition, 0, outGrad)];
  },
};

/** A comparison that is true of equals, and that a NaN does not pass. */
function holdsForNumbers(x: Term, operator: "==" | "<=" | ">=", y: Term): string {
  const compared = `(${x.text} ${operator} ${y.text})`;
  return x.dtype === "f32" ? `${compared} & !is_nan(${x.text})` : compared;
}
