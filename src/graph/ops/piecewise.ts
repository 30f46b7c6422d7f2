import type { OpDefinition } from "../op.ts";
import type { Value } from "../value.ts";
import { mul } from "./arithmetic.ts";
import { equal, greater, less, where } from "./comparison.ts";
import { binaryOp, binaryValue, type Operand, unaryOp, unaryValue } from "./elementwise.ts";

/** The larger of `a` and `b`; NaN when one is NaN. Equal ones get half the gradient each, as in PyTorch. */
export function maximum(a: Operand, b: Operand): Value {
  return binaryValue("maximum", a, b);
}

/** The larger operand gets the gradient. */
export const maximumOp: OpDefinition = binaryOp("max", "maximum", "cheap", [
  (outGrad, a, b) => shareOf(outGrad, greater(a, b), equal(a, b)),
  (outGrad, a, b) => shareOf(outGrad, less(a, b), equal(a, b)),
]);

/** The smaller of `a` and `b`; NaN when one is NaN. Equal ones get half the gradient each, as in PyTorch. */
export function minimum(a: Operand, b: Operand): Value {
  return binaryValue("minimum", a, b);
}

/** The smaller operand gets the gradient. */
export const minimumOp: OpDefinition = binaryOp("min", "minimum", "cheap", [
  (outGrad, a, b) => shareOf(outGrad, less(a, b), equal(a, b)),
  (outGrad, a, b) => shareOf(outGrad, greater(a, b), equal(a, b)),
]);

/** `max(a, 0)`. */
export function relu(a: Value): Value {
  return unaryValue("relu", a, ["f32", "i32"]);
}

/** d relu(a) = da where a > 0, and 0 at 0. The sign of the result says as much as the operand's, and is at hand. */
export const reluOp: OpDefinition = unaryOp(
  "relu",
  "relu",
  "cheap",
  (_a, result, outGrad) => where(greater(result, 0), outGrad, 0),
);

/** `|a|`. */
export function abs(a: Value): Value {
  return unaryValue("abs", a, ["f32", "i32", "u32"]);
}

/** d|a| = sign(a) da, 0 at 0. */
export const absOp: OpDefinition = unaryOp(
  "abs",
  "abs",
  "cheap",
  (a, _result, outGrad) => mul(outGrad, sign(a)),
);

/** -1, 0 or 1. No gradient flows. */
export function sign(a: Value): Value {
  return unaryValue("sign", a, ["f32", "i32", "u32"]);
}

/** A step function. */
export const signOp: OpDefinition = unaryOp("sign", "sign", "cheap");

/** The largest whole number not above `a`. No gradient flows. */
export function floor(a: Value): Value {
  return unaryValue("floor", a, ["f32"]);
}

/** A step function. */
export const floorOp: OpDefinition = unaryOp("floor", "floor", "cheap");

function shareOf(outGrad: Value, wins: Value, ties: Value): Value {
  return where(wins, outGrad, where(ties, mul(outGrad, 0.5), 0));
}

/** Every op of this family. */
export const piecewiseOps: readonly OpDefinition[] = [maximumOp, minimumOp, reluOp, absOp, signOp, floorOp];
