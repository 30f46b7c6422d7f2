import { cos, exp, log, rsqrt, sigmoid, sin, sqrt, tanh } from "../../../src/graph/ops/transcendental.ts";
import {
  between,
  type Enclosure,
  hasNumber,
  increasing,
  notNegative,
  ONLY_NAN,
  rounded,
  union,
  withEitherZero,
} from "../../helpers/enclosure.ts";
import { f32, opCase } from "../op_case.ts";
import { type ElementTwins, ofFloat } from "./element_twin.ts";

/**
 * Twins of `src/graph/ops/transcendental.ts`, with the accuracy of WGSL's functions
 * (https://www.w3.org/TR/WGSL/#floating-point-accuracy), and of those that Cairn composes of them.
 */
export const transcendentalTwins: ElementTwins = {
  exp: {
    float: Math.exp,
    // 3 + 2|x| units in the last place.
    enclose: (a) => increasing(a, Math.exp, (x) => Number.isFinite(x) ? 3 + 2 * Math.abs(x) : 0),
    use: ofFloat(exp),
    cases: [opCase("exp", [f32([7])], exp)],
  },
  log: {
    float: Math.log,
    enclose: enclosedLog,
    use: ofFloat(log),
    cases: [opCase("log", [f32([7], 0.5, 3)], log)],
  },
  sqrt: {
    float: Math.sqrt,
    // The reciprocal of the inverse root: 2 units, and 2.5 of the division.
    enclose: (a) => withEitherZero(increasing(notNegative(a), Math.sqrt, () => 4.5)),
    use: ofFloat(sqrt),
    cases: [opCase("sqrt", [f32([7], 0.5, 3)], sqrt)],
  },
  rsqrt: {
    float: (x) => 1 / Math.sqrt(x),
    enclose: inverseRoot,
    use: ofFloat(rsqrt),
    cases: [opCase("rsqrt", [f32([7], 0.5, 3)], rsqrt)],
  },
  tanh: {
    float: Math.tanh,
    // Below 0.3 a series: some roundings. Elsewhere (1 - e) / (1 + e) with e = exp(-2|x|), whose relative error of at
    // most 5 units, times 2e / (1 - e²) < 1.6, joins the roundings of three operations.
    enclose: (a) => withEitherZero(increasing(a, Math.tanh, () => 16)),
    use: ofFloat(tanh),
    cases: [opCase("tanh", [f32([7])], tanh)],
  },
  sigmoid: {
    float: logistic,
    // The error of exp(-|x|), and the roundings of a sum, a quotient and a product.
    enclose: (a) => increasing(a, logistic, (x) => Number.isFinite(x) ? 10 + 2 * Math.abs(x) : 0),
    use: ofFloat(sigmoid),
    cases: [opCase("sigmoid", [f32([7])], sigmoid)],
  },
  sin: {
    float: Math.sin,
    enclose: (a) => wave(a, Math.sin),
    use: ofFloat(sin),
    cases: [opCase("sin", [f32([7])], sin)],
  },
  cos: {
    float: Math.cos,
    enclose: (a) => wave(a, Math.cos),
    use: ofFloat(cos),
    cases: [opCase("cos", [f32([7])], cos)],
  },
};

function logistic(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** 2^-21 from 0.5 to 2, 3 units elsewhere. */
function enclosedLog(a: Enclosure): Enclosure {
  const from = notNegative(a);
  if (!hasNumber(from)) return ONLY_NAN;
  const at = (x: number): Enclosure => {
    const exact = between(Math.log(x), Math.log(x));
    return x >= 0.5 && x <= 2 ? rounded(exact, 0, 2 ** -21) : rounded(exact, 3);
  };
  return { ...union(at(from.lo), at(from.hi)), nan: from.nan };
}

/** 2 units. The sign of 1 / √-0 is open. */
function inverseRoot(a: Enclosure): Enclosure {
  const { lo, hi, nan } = notNegative(a);
  if (lo > hi) return ONLY_NAN;
  const inverse = (x: number): number => 1 / Math.sqrt(x);
  const result = rounded({ lo: inverse(Math.abs(hi)), hi: inverse(Math.abs(lo)), nan }, 2);
  return Object.is(lo, -0) ? { ...result, lo: -Infinity } : result;
}

/** 2^-11 within [-π, π]; elsewhere any number that a sine may be. */
function wave(a: Enclosure, compute: (x: number) => number): Enclosure {
  if (!hasNumber(a) || a.lo === a.hi && !Number.isFinite(a.lo)) return ONLY_NAN;
  const nan = a.nan || !Number.isFinite(a.lo) || !Number.isFinite(a.hi);
  const width = a.hi - a.lo;
  const error = 2 ** -11 + 2 ** -22;
  const isNear = Math.max(-a.lo, a.hi) <= Math.PI && width <= 1;
  if (!isNear) return between(-1 - error, 1 + error, nan);
  const [first, second] = [compute(a.lo), compute(a.hi)];
  return rounded({ lo: Math.min(first, second) - width, hi: Math.max(first, second) + width, nan }, 0, error);
}
