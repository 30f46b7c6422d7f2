import type { WgslFunction } from "../../../kernels/elementwise/expression.ts";
import type { Value } from "../../value.ts";
import { add, div, mul, neg } from "../arithmetic.ts";
import { unaryOp } from "../elementwise.ts";
import { FLOAT } from "../requirements.ts";
import { exp, sigmoid } from "../transcendental.ts";

// Functions near whose zero exp(x) - 1 and log(1 + x) have lost all digits.

/** `e^a - 1`, exact near 0 too: to 10 + 6|a| units in the last place. */
export const expm1: (a: Value) => Value = unaryOp({
  name: "expm1",
  takes: FLOAT,
  cost: "expensive",
  wgsl: (x, call) => call(EXPM1, x),
  // d(e^a - 1) = e^a da. Adding 1 to the result would lose its digits far below 0.
  gradient: (a, _result, outGrad) => mul(outGrad, exp(a)),
});

const EXPM1: WgslFunction = {
  name: "expm1_of",
  code: `// Below 0.5 the power series, whose next term is 1e-8 of the result.
fn expm1_of(x: Float) -> Float {
  let last = Float(1.0 / 40320.0) + x * Float(1.0 / 362880.0);
  let tail = Float(1.0 / 120.0) + x * (Float(1.0 / 720.0) + x * (Float(1.0 / 5040.0) + x * last));
  let series = x + x * x * (Float(0.5) + x * (Float(1.0 / 6.0) + x * (Float(1.0 / 24.0) + x * tail)));
  let result = select(exp(x) - Float(1.0), series, abs(x) < Float(0.5));
  // The sum of -0 and 0 is 0.
  return select(result, x, is_nan(x) | (x == Float(0.0)));
}
`,
};

/** `log(1 + a)`, exact near 0 too: to 12 units in the last place. NaN below -1. */
export const log1p: (a: Value) => Value = unaryOp({
  name: "log1p",
  takes: FLOAT,
  cost: "expensive",
  wgsl: (x, call) => call(LOG1P, x),
  // d log(1 + a) = da / (1 + a).
  gradient: (a, _result, outGrad) => div(outGrad, add(a, 1)),
});

const LOG1P: WgslFunction = {
  name: "log1p_of",
  code:
    `// From -0.5 to 1 by log(1 + x) = 2 artanh(x / (2 + x)) as a series: WGSL's log may be off by 2^-21 there.
fn log1p_of(x: Float) -> Float {
  let s = x / (Float(2.0) + x);
  let z = s * s;
  let last = Float(1.0 / 13.0) + z * (Float(1.0 / 15.0) + z * Float(1.0 / 17.0));
  let tail = Float(1.0 / 7.0) + z * (Float(1.0 / 9.0) + z * (Float(1.0 / 11.0) + z * last));
  let series = 2.0 * s * (Float(1.0) + z * (Float(1.0 / 3.0) + z * (Float(1.0 / 5.0) + z * tail)));
  let is_near = (x > Float(-0.5)) & (x < Float(1.0));
  let result = select(log(opaque(Float(1.0) + x)), series, is_near);
  return select(result, x, is_nan(x));
}
`,
};

/** `log(1 + e^a)`, PyTorch's `softplus` of beta 1 without its threshold: no size overflows or rounds to 0 early. */
export const softplus: (a: Value) => Value = unaryOp({
  name: "softplus",
  takes: FLOAT,
  cost: "expensive",
  wgsl: (x, call) => call(SOFTPLUS, x),
  // d softplus(a) = σ(a) da.
  gradient: (a, _result, outGrad) => mul(outGrad, sigmoid(a)),
});

const SOFTPLUS: WgslFunction = {
  name: "softplus_of",
  needs: [LOG1P],
  code: `fn softplus_of(x: Float) -> Float {
  let result = max(x, Float()) + log1p_of(exp(-abs(x)));
  return select(result, x, is_nan(x));
}
`,
};

/** `log(sigmoid(a))`, which neither overflows nor rounds to 0 early. */
export function logSigmoid(a: Value): Value {
  return neg(softplus(neg(a)));
}
