import type { WgslFunction } from "../../kernels/elementwise/expression.ts";
import type { Value } from "../value.ts";
import { mul } from "./arithmetic.ts";
import { equal, greater, less, lessEqual, where } from "./comparison.ts";
import { binaryOp, type Operand, unaryOp } from "./elementwise.ts";
import { ANY, FLOAT, SIGNED } from "./requirements.ts";

// WGSL leaves open what `max`, `min` and `sign` make of NaN, and Mesa makes a number of it. Here NaN stays NaN, since a
// training run that has gone wrong has to show it.

/** The larger of `a` and `b`; NaN when one is NaN. Equal ones get half the gradient each, as in PyTorch. */
export const maximum: (a: Operand, b: Operand) => Value = binaryOp({
  name: "maximum",
  takes: ANY,
  wgsl: (x, y, call) => x.dtype === "f32" ? call(MAX_OR_NAN, x, y) : `max(${x.text}, ${y.text})`,
  gradients: [
    (outGrad, a, b) => shareOf(outGrad, greater(a, b), equal(a, b)),
    (outGrad, a, b) => shareOf(outGrad, less(a, b), equal(a, b)),
  ],
});

/** `max` of floats that keeps NaN. */
export const MAX_OR_NAN: WgslFunction = {
  name: "max_or_nan",
  code: `fn max_or_nan(a: Float, b: Float) -> Float {
  return select(select(max(a, b), b, is_nan(b)), a, is_nan(a));
}
`,
};

/** The smaller of `a` and `b`; NaN when one is NaN. Equal ones get half the gradient each, as in PyTorch. */
export const minimum: (a: Operand, b: Operand) => Value = binaryOp({
  name: "minimum",
  takes: ANY,
  wgsl: (x, y, call) => x.dtype === "f32" ? call(MIN_OR_NAN, x, y) : `min(${x.text}, ${y.text})`,
  gradients: [
    (outGrad, a, b) => shareOf(outGrad, less(a, b), equal(a, b)),
    (outGrad, a, b) => shareOf(outGrad, greater(a, b), equal(a, b)),
  ],
});

/** `min` of floats that keeps NaN. */
export const MIN_OR_NAN: WgslFunction = {
  name: "min_or_nan",
  code: `fn min_or_nan(a: Float, b: Float) -> Float {
  return select(select(min(a, b), b, is_nan(b)), a, is_nan(a));
}
`,
};

/** `max(a, 0)`. */
export const relu: (a: Value) => Value = unaryOp({
  name: "relu",
  takes: SIGNED,
  wgsl: (x, call) => x.dtype === "f32" ? call(RELU, x) : `max(${x.text}, Signed())`,
  // da where a > 0, and 0 at 0; as in PyTorch it also passes where a is NaN. The sign of the result says as much as the
  // operand's, and is at hand.
  gradient: (_a, result, outGrad) => where(lessEqual(result, 0), 0, outGrad),
});

const RELU: WgslFunction = {
  name: "relu",
  code: `fn relu(x: Float) -> Float {
  return select(max(x, Float()), x, is_nan(x));
}
`,
};

/** `|a|`. */
export const abs: (a: Value) => Value = unaryOp({
  name: "abs",
  takes: ANY,
  wgsl: (x) => `abs(${x.text})`,
  // d|a| = sign(a) da, 0 at 0.
  gradient: (a, _result, outGrad) => mul(outGrad, sign(a)),
});

/** -1, 0 or 1. No gradient flows. */
export const sign: (a: Value) => Value = unaryOp({
  name: "sign",
  takes: ANY,
  wgsl(x, call) {
    if (x.dtype === "u32") return `min(${x.text}, Unsigned(1u))`;
    return x.dtype === "f32" ? call(SIGN_OR_NAN, x) : `sign(${x.text})`;
  },
});

const SIGN_OR_NAN: WgslFunction = {
  name: "sign_or_nan",
  code: `fn sign_or_nan(x: Float) -> Float {
  return select(sign(x), x, is_nan(x));
}
`,
};

/** The largest whole number not above `a`. No gradient flows. */
export const floor: (a: Value) => Value = unaryOp({
  name: "floor",
  takes: FLOAT,
  wgsl: (x) => `floor(${x.text})`,
});

/** The smallest whole number not below `a`. No gradient flows. */
export const ceil: (a: Value) => Value = unaryOp({
  name: "ceil",
  takes: FLOAT,
  wgsl: (x) => `ceil(${x.text})`,
});

/** The nearest whole number; of two that are as near, the even one. No gradient flows. */
export const round: (a: Value) => Value = unaryOp({
  name: "round",
  takes: FLOAT,
  wgsl: (x) => `round(${x.text})`,
});

function shareOf(outGrad: Value, wins: Value, ties: Value): Value {
  return where(wins, outGrad, where(ties, mul(outGrad, 0.5), 0));
}
