import type { OpDefinition } from "../op.ts";
import type { Value } from "../value.ts";
import { binaryOp, binaryValue, type Operand, unaryOp, unaryValue } from "./elementwise.ts";

/** `a + b`. */
export function add(a: Operand, b: Operand): Value {
  return binaryValue("add", a, b);
}

/** d(a + b) = da + db. */
export const addOp: OpDefinition = binaryOp("add", "add", "cheap", [
  (outGrad) => outGrad,
  (outGrad) => outGrad,
]);

/** `a - b`. */
export function sub(a: Operand, b: Operand): Value {
  return binaryValue("sub", a, b);
}

/** d(a - b) = da - db. */
export const subOp: OpDefinition = binaryOp("sub", "sub", "cheap", [
  (outGrad) => outGrad,
  (outGrad) => neg(outGrad),
]);

/** `a * b`. */
export function mul(a: Operand, b: Operand): Value {
  return binaryValue("mul", a, b);
}

/** d(ab) = b da + a db. */
export const mulOp: OpDefinition = binaryOp("mul", "mul", "cheap", [
  (outGrad, _a, b) => mul(outGrad, b),
  (outGrad, a) => mul(outGrad, a),
]);

/** `a / b`, infinite or NaN where `b` is 0; of integers, rounded towards zero, and `a` where `b` is 0. */
export function div(a: Operand, b: Operand): Value {
  return binaryValue("div", a, b);
}

/** d(a / b) = da / b - (a / b) db / b. */
export const divOp: OpDefinition = binaryOp("div", "div", "cheap", [
  (outGrad, _a, b) => div(outGrad, b),
  (outGrad, _a, b, result) => neg(div(mul(outGrad, result), b)),
]);

/** `-a`. */
export function neg(a: Value): Value {
  return unaryValue("neg", a, ["f32", "i32"]);
}

/** d(-a) = -da. */
export const negOp: OpDefinition = unaryOp("neg", "neg", "cheap", (_a, _result, outGrad) => neg(outGrad));

/** `a * a`. */
export function square(a: Value): Value {
  return unaryValue("square", a, ["f32", "i32", "u32"]);
}

/** d(a²) = 2a da. */
export const squareOp: OpDefinition = unaryOp(
  "square",
  "square",
  "cheap",
  (a, _result, outGrad) => mul(outGrad, mul(a, 2)),
);

/** `1 / a`. */
export function reciprocal(a: Value): Value {
  return unaryValue("reciprocal", a, ["f32"]);
}

/** d(1 / a) = -(1 / a)² da. */
export const reciprocalOp: OpDefinition = unaryOp(
  "reciprocal",
  "reciprocal",
  "cheap",
  (_a, result, outGrad) => neg(mul(outGrad, square(result))),
);

/** Every op of this family. */
export const arithmeticOps: readonly OpDefinition[] = [
  addOp,
  subOp,
  mulOp,
  divOp,
  negOp,
  squareOp,
  reciprocalOp,
];
