import type { OpDefinition } from "../op.ts";
import { constant, type NumberAttributes, type Value } from "../value.ts";
import { div, mul, neg, square, sub } from "./arithmetic.ts";
import { equal, greaterEqual, logicalAnd, where } from "./comparison.ts";
import { binaryOp, binaryValue, type Operand, unaryOp, unaryValue } from "./elementwise.ts";

/** `e^a`. */
export function exp(a: Value): Value {
  return unaryValue("exp", a, ["f32"]);
}

/** d(e^a) = e^a da. */
export const expOp: OpDefinition = unaryOp(
  "exp",
  "exp",
  "dear",
  (_a, result, outGrad) => mul(outGrad, result),
);

/** Natural logarithm of `a`; NaN below 0. */
export function log(a: Value): Value {
  return unaryValue("log", a, ["f32"]);
}

/** d(log a) = da / a. */
export const logOp: OpDefinition = unaryOp("log", "log", "dear", (a, _result, outGrad) => div(outGrad, a));

/** Square root of `a`; NaN below 0. */
export function sqrt(a: Value): Value {
  return unaryValue("sqrt", a, ["f32"]);
}

/** d√a = da / 2√a. */
export const sqrtOp: OpDefinition = unaryOp(
  "sqrt",
  "sqrt",
  "dear",
  (_a, result, outGrad) => div(mul(outGrad, 0.5), result),
);

/** `1 / √a`. */
export function rsqrt(a: Value): Value {
  return unaryValue("rsqrt", a, ["f32"]);
}

/** d(a^-½) = -½ a^-1½ da. */
export const rsqrtOp: OpDefinition = unaryOp(
  "rsqrt",
  "rsqrt",
  "dear",
  (_a, result, outGrad) => mul(mul(outGrad, -0.5), mul(result, square(result))),
);

/** Hyperbolic tangent of `a`. */
export function tanh(a: Value): Value {
  return unaryValue("tanh", a, ["f32"]);
}

/** d tanh(a) = (1 - tanh²(a)) da. */
export const tanhOp: OpDefinition = unaryOp(
  "tanh",
  "tanh",
  "dear",
  (_a, result, outGrad) => mul(outGrad, sub(1, square(result))),
);

/** `1 / (1 + e^-a)`. */
export function sigmoid(a: Value): Value {
  return unaryValue("sigmoid", a, ["f32"]);
}

/** d σ(a) = σ(a) (1 - σ(a)) da. */
export const sigmoidOp: OpDefinition = unaryOp(
  "sigmoid",
  "sigmoid",
  "dear",
  (_a, result, outGrad) => mul(outGrad, mul(result, sub(1, result))),
);

/** Sine of `a` radians. */
export function sin(a: Value): Value {
  return unaryValue("sin", a, ["f32"]);
}

/** d sin(a) = cos(a) da. */
export const sinOp: OpDefinition = unaryOp(
  "sin",
  "sin",
  "dear",
  (a, _result, outGrad) => mul(outGrad, cos(a)),
);

/** Cosine of `a` radians. */
export function cos(a: Value): Value {
  return unaryValue("cos", a, ["f32"]);
}

/** d cos(a) = -sin(a) da. */
export const cosOp: OpDefinition = unaryOp(
  "cos",
  "cos",
  "dear",
  (a, _result, outGrad) => neg(mul(outGrad, sin(a))),
);

/**
 * `a` to the power `b`, `f32`, as C and IEEE 754 have it. A negative `a` has one where `b` is whole, and NaN
 * elsewhere; `a^0` and `1^b` are 1, also of NaN.
 */
export function pow(a: Operand, b: Operand): Value {
  return binaryValue("pow", a, b, { allowed: ["f32"] });
}

/**
 * d(a^b) = b a^(b-1) da + a^b log(a) db. As in PyTorch the first is 0 where b is 0, the second where a is 0 and b is
 * not negative.
 */
export const powOp: OpDefinition = binaryOp("pow", "pow", "dear", [
  (outGrad, a, b) => where(equal(b, 0), 0, mul(outGrad, mul(b, pow(a, oneLess(b))))),
  (outGrad, a, b, result) => {
    const isFlat = logicalAnd(equal(a, 0), greaterEqual(b, 0));
    return where(isFlat, 0, mul(outGrad, mul(result, log(a))));
  },
]);

/** `b - 1`; of a number a number, since some powers are exact where the exponent is known. */
function oneLess(b: Value): Value {
  return b.op === "number" ? constant((b as Value<NumberAttributes>).attributes.value - 1) : sub(b, 1);
}

/** Every op of this family. */
export const transcendentalOps: readonly OpDefinition[] = [
  expOp,
  logOp,
  sqrtOp,
  rsqrtOp,
  tanhOp,
  sigmoidOp,
  sinOp,
  cosOp,
  powOp,
];
