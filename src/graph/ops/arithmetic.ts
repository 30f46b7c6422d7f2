import { apart } from "../../kernels/elementwise/expression_wgsl.ts";
import type { Value } from "../value.ts";
import { binaryOp, type Operand, unaryOp } from "./elementwise.ts";
import { ANY, FLOAT, SIGNED } from "./requirements.ts";

/** `a + b`. */
export const add: (a: Operand, b: Operand) => Value = binaryOp({
  name: "add",
  takes: ANY,
  wgsl: (x, y) => `${x.text} + ${y.text}`,
  // d(a + b) = da + db.
  gradients: [(outGrad) => outGrad, (outGrad) => outGrad],
});

/** `a - b`. */
export const sub: (a: Operand, b: Operand) => Value = binaryOp({
  name: "sub",
  takes: ANY,
  wgsl: (x, y) => `${x.text} - ${apart(y)}`,
  // d(a - b) = da - db.
  gradients: [(outGrad) => outGrad, (outGrad) => neg(outGrad)],
});

/** `a * b`. */
export const mul: (a: Operand, b: Operand) => Value = binaryOp({
  name: "mul",
  takes: ANY,
  wgsl: (x, y) => `${x.text} * ${y.text}`,
  // d(ab) = b da + a db.
  gradients: [(outGrad, _a, b) => mul(outGrad, b), (outGrad, a) => mul(outGrad, a)],
});

/** `a / b`, infinite or NaN where `b` is 0; of integers, rounded towards zero, and `a` where `b` is 0. */
export const div: (a: Operand, b: Operand) => Value = binaryOp({
  name: "div",
  takes: ANY,
  wgsl: (x, y) => `${x.text} / ${apart(y)}`,
  // d(a / b) = da / b - (a / b) db / b.
  gradients: [
    (outGrad, _a, b) => div(outGrad, b),
    (outGrad, _a, b, result) => neg(div(mul(outGrad, result), b)),
  ],
});

/** `-a`. */
export const neg: (a: Value) => Value = unaryOp({
  name: "neg",
  takes: SIGNED,
  wgsl: (x) => `-${x.text}`,
  // d(-a) = -da.
  gradient: (_a, _result, outGrad) => neg(outGrad),
});

/** `a * a`. */
export const square: (a: Value) => Value = unaryOp({
  name: "square",
  takes: ANY,
  wgsl: (x) => `${x.text} * ${x.text}`,
  // d(a²) = 2a da.
  gradient: (a, _result, outGrad) => mul(outGrad, mul(a, 2)),
});

/** `1 / a`. */
export const reciprocal: (a: Value) => Value = unaryOp({
  name: "reciprocal",
  takes: FLOAT,
  wgsl: (x) => `Float(1.0) / ${x.text}`,
  // d(1 / a) = -(1 / a)² da.
  gradient: (_a, result, outGrad) => neg(mul(outGrad, square(result))),
});
