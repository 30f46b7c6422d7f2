import type { WgslFunction } from "../../../kernels/elementwise/expression.ts";
import type { Value } from "../../value.ts";
import { mul, neg, square } from "../arithmetic.ts";
import { unaryOp } from "../elementwise.ts";
import { FLOAT } from "../requirements.ts";
import { exp } from "../transcendental.ts";

/** The error function `2/√π ∫₀ᵃ e^-t² dt`, to 6 units in the last place. */
export const erf: (a: Value) => Value = unaryOp({
  name: "erf",
  takes: FLOAT,
  cost: "expensive",
  wgsl: (x, call) => call(ERF, x),
  // d erf(a) = 2/√π e^-a² da.
  gradient: (a, _result, outGrad) => mul(outGrad, mul(exp(neg(square(a))), 2 / Math.sqrt(Math.PI))),
});

const ERF: WgslFunction = {
  name: "erf_of",
  code:
    `// Two least-squares fits weighted towards equal errors: of erf(x) / x in x² below 1, off by 1.3e-9 of the result, and of
// e^x² erfc(x) in 1 / (1 + x / 2) above, off by 1.2e-8 of 1. From 4.1 on the result is 1.
fn erf_of(x: Float) -> Float {
  let z = x * x;
  let last = Float(0.0051883399) + z * (Float(-0.0008010289) + z * Float(0.0000785415104));
  let tail = Float(0.112835854) + z * (Float(-0.0268538184) + z * last);
  let near = x * (Float(1.12837911) + z * (Float(-0.37612626) + z * tail));
  let far = min(abs(x), Float(4.1));
  let t = Float(1.0) / (Float(1.0) + 0.5 * far);
  let rest = Float(-0.0687391907) + t * (Float(0.732044876) + t * Float(-0.0423668399));
  let complement = exp(-far * far) * (Float(-0.0139095681) + t * (Float(0.395265698) + t * rest));
  let magnitude = Float(1.0) - complement;
  let result = select(select(magnitude, -magnitude, x < Float()), near, abs(x) < Float(1.0));
  return select(result, x, is_nan(x));
}
`,
};
