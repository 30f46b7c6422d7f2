import { add, mul } from "../../../src/graph/ops/arithmetic.ts";
import { abs, ceil, floor, maximum, minimum, relu, round, sign } from "../../../src/graph/ops/piecewise.ts";
import * as enclosure from "../../helpers/enclosure.ts";
import { f32, opCase } from "../op_case.ts";
import { type ElementTwins, ofAny, ofFloat, ofTwo } from "./element_twin.ts";

/** The larger one; NaN when one is. */
export function larger(a: enclosure.Enclosure, b: enclosure.Enclosure): enclosure.Enclosure {
  if (!enclosure.hasNumber(a) || !enclosure.hasNumber(b)) return enclosure.ONLY_NAN;
  const [lo, hi] = [Math.max(a.lo, b.lo), Math.max(a.hi, b.hi)];
  return enclosure.withEitherZero({ lo, hi, nan: a.nan || b.nan });
}

/** Twins of `src/graph/ops/piecewise.ts`. */
export const piecewiseTwins: ElementTwins = {
  maximum: {
    float: (x, y) => Math.max(x, y),
    enclose: larger,
    use: ofTwo(maximum),
    cases: [opCase("maximum", [f32([6]), f32([6])], maximum)],
  },
  minimum: {
    float: (x, y) => Math.min(x, y),
    enclose: (a, b) => enclosure.neg(larger(enclosure.neg(a), enclosure.neg(b))),
    use: ofTwo(minimum),
    cases: [opCase("minimum with a number", [f32([6])], (a) => minimum(a, 0.3))],
  },
  relu: {
    float: (x) => Number.isNaN(x) ? x : Math.max(x, 0),
    enclose: (a) => larger(a, enclosure.exactly(0)),
    use: ofAny(relu, ["i32"]),
    cases: [opCase("relu", [f32([9])], relu)],
  },
  abs: {
    float: Math.abs,
    enclose: enclosure.abs,
    use: ofAny(abs, ["i32", "u32"]),
    cases: [opCase("abs", [f32([9])], abs)],
  },
  sign: {
    float: Math.sign,
    enclose: (a) =>
      enclosure.hasNumber(a)
        ? enclosure.withEitherZero(enclosure.between(Math.sign(a.lo), Math.sign(a.hi), a.nan))
        : enclosure.ONLY_NAN,
    use: ofAny(sign, ["i32", "u32"]),
    cases: [opCase("sign as a mask", [f32([9])], (a) => mul(sign(a), a))],
  },
  floor: {
    float: Math.floor,
    enclose: (a) => enclosure.withEitherZero(enclosure.increasing(a, Math.floor)),
    use: ofFloat(floor),
    cases: [opCase("floor as a mask", [f32([9], 0.1, 0.9)], (a) => mul(add(floor(a), 2), a))],
  },
  ceil: {
    float: Math.ceil,
    enclose: (a) => enclosure.withEitherZero(enclosure.increasing(a, Math.ceil)),
    use: ofFloat(ceil),
    cases: [opCase("ceil as a mask", [f32([9], 0.1, 0.9)], (a) => mul(ceil(a), a))],
  },
  round: {
    float: halfToEven,
    enclose: (a) => enclosure.withEitherZero(enclosure.increasing(a, halfToEven)),
    use: ofFloat(round),
    cases: [opCase("round as a mask", [f32([9], 0.6, 1.4)], (a) => mul(round(a), a))],
  },
};

/** The nearest whole number, of two the even one. */
function halfToEven(x: number): number {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}
