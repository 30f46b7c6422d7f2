import type { WgslFunction } from "./expression.ts";

/** The hyperbolic tangent, `tanh_of`. Needs the types of `expressionTypesWgsl` and `is_nan`. */
export const TANH: WgslFunction = {
  name: "tanh_of",
  code:
    `// Near 0 by the power series: the difference of two numbers near 1 has lost all digits there, in WGSL's tanh too.
fn tanh_of(x: Float) -> Float {
  let square = x * x;
  let tail = Float(-17.0 / 315.0) + square * Float(62.0 / 2835.0);
  let series = x * (Float(1.0) + square * (Float(-1.0 / 3.0) + square * (Float(2.0 / 15.0) + square * tail)));
  let e = exp(-2.0 * abs(x));
  let far = (Float(1.0) - e) / (Float(1.0) + e);
  let result = select(select(far, -far, x < Float()), series, abs(x) < Float(0.3));
  return select(result, x, is_nan(x));
}
`,
};

/** The logistic function, `sigmoid`. Needs the same. */
export const SIGMOID: WgslFunction = {
  name: "sigmoid",
  code: `// exp of a positive number would overflow.
fn sigmoid(x: Float) -> Float {
  let e = exp(-abs(x));
  let positive = Float(1.0) / (Float(1.0) + e);
  return select(select(positive, e * positive, x < Float()), x, is_nan(x));
}
`,
};
