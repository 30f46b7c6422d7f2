import { SIGMOID, TANH } from "../../kernels/elementwise/curves.ts";
import type { WgslFunction } from "../../kernels/elementwise/expression.ts";
import type { Value } from "../value.ts";
import { div, mul, neg, square, sub } from "./arithmetic.ts";
import { unaryOp } from "./elementwise.ts";
import { FLOAT } from "./requirements.ts";

/** `e^a`. */
export const exp: (a: Value) => Value = unaryOp({
  name: "exp",
  takes: FLOAT,
  cost: "expensive",
  wgsl: (x) => `exp(${x.text})`,
  // d(e^a) = e^a da.
  gradient: (_a, result, outGrad) => mul(outGrad, result),
});

/** Natural logarithm of `a`; NaN below 0. */
export const log: (a: Value) => Value = unaryOp({
  name: "log",
  takes: FLOAT,
  cost: "expensive",
  wgsl: (x, call) => call(LOG, x),
  // d(log a) = da / a.
  gradient: (a, _result, outGrad) => div(outGrad, a),
});

const LOG: WgslFunction = {
  name: "log_of",
  code: `// A subnormal number is 0: Mesa takes the logarithm of each of them for that of 2^-127.
fn log_of(x: Float) -> Float {
  return log(select(x, Float(), abs(x) < Float(from_bits(0x00800000u))));
}
`,
};

/** Square root of `a`; NaN below 0. */
export const sqrt: (a: Value) => Value = unaryOp({
  name: "sqrt",
  takes: FLOAT,
  cost: "expensive",
  wgsl: (x) => `sqrt(${x.text})`,
  // d√a = da / 2√a.
  gradient: (_a, result, outGrad) => div(mul(outGrad, 0.5), result),
});

/** `1 / √a`. */
export const rsqrt: (a: Value) => Value = unaryOp({
  name: "rsqrt",
  takes: FLOAT,
  cost: "expensive",
  wgsl: (x) => `inverseSqrt(${x.text})`,
  // d(a^-½) = -½ a^-1½ da.
  gradient: (_a, result, outGrad) => mul(mul(outGrad, -0.5), mul(result, square(result))),
});

/** Hyperbolic tangent of `a`. */
export const tanh: (a: Value) => Value = unaryOp({
  name: "tanh",
  takes: FLOAT,
  cost: "expensive",
  wgsl: (x, call) => call(TANH, x),
  // d tanh(a) = (1 - tanh²(a)) da.
  gradient: (_a, result, outGrad) => mul(outGrad, sub(1, square(result))),
});

/** `1 / (1 + e^-a)`. */
export const sigmoid: (a: Value) => Value = unaryOp({
  name: "sigmoid",
  takes: FLOAT,
  cost: "expensive",
  wgsl: (x, call) => call(SIGMOID, x),
  // d σ(a) = σ(a) (1 - σ(a)) da.
  gradient: (_a, result, outGrad) => mul(outGrad, mul(result, sub(1, result))),
});

/** Sine of `a` radians. */
export const sin: (a: Value) => Value = unaryOp({
  name: "sin",
  takes: FLOAT,
  cost: "expensive",
  wgsl: (x) => `sin(${x.text})`,
  // d sin(a) = cos(a) da.
  gradient: (a, _result, outGrad) => mul(outGrad, cos(a)),
});

/** Cosine of `a` radians. */
export const cos: (a: Value) => Value = unaryOp({
  name: "cos",
  takes: FLOAT,
  cost: "expensive",
  wgsl: (x) => `cos(${x.text})`,
  // d cos(a) = -sin(a) da.
  gradient: (a, _result, outGrad) => neg(mul(outGrad, sin(a))),
});
