import { atan2 } from "../../../../src/graph/ops/elementary/atan2.ts";
import { erf } from "../../../../src/graph/ops/elementary/erf.ts";
import { expm1, log1p, softplus } from "../../../../src/graph/ops/elementary/exponentials.ts";
import { mod } from "../../../../src/graph/ops/elementary/mod.ts";
import { add, mul } from "../../../../src/graph/ops/arithmetic.ts";
import { cast } from "../../../../src/graph/ops/cast.ts";
import {
  between,
  type Enclosure,
  hasNumber,
  increasing,
  isPoint,
  ONLY_NAN,
  rounded,
  union,
  withEitherZero,
} from "../../../helpers/enclosure.ts";
import { f32, opCase, u32 } from "../../op_case.ts";
import { type ElementTwins, ofFloat, ofTwo } from "../element_twin.ts";
import { larger } from "../piecewise_twins.ts";
import { erfOf } from "./erf_twin.ts";

/** Twins of the elementwise ops of `src/graph/ops/elementary/`, with the bounds that their docstrings state. */
export const elementaryTwins: ElementTwins = {
  expm1: {
    float: Math.expm1,
    enclose: (a) => increasing(a, Math.expm1, (x) => Number.isFinite(x) ? 10 + 6 * Math.abs(x) : 0),
    use: ofFloat(expm1),
    cases: [
      opCase("expm1", [f32([7])], expm1),
      opCase("expm1 near 0", [f32([7], -1e-3, 1e-3)], (a) => mul(expm1(a), 1e3)),
    ],
  },
  log1p: {
    float: Math.log1p,
    enclose: enclosedLog1p,
    use: ofFloat(log1p),
    cases: [
      opCase("log1p", [f32([7], -0.9, 3)], log1p),
      opCase("log1p near 0", [f32([7], -1e-3, 1e-3)], (a) => mul(log1p(a), 1e3)),
    ],
  },
  softplus: {
    float: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
    // Far below 0 it is the exponential.
    enclose: (a) =>
      increasing(
        a,
        (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
        (x) => Number.isFinite(x) ? 20 + 2 * Math.max(-x, 0) : 0,
      ),
    use: ofFloat(softplus),
    cases: [opCase("softplus", [f32([7])], softplus)],
  },
  erf: {
    float: erfOf,
    enclose: (a) => increasing(a, erfOf, (x) => Number.isFinite(x) ? 6 : 0),
    use: ofFloat(erf),
    cases: [
      opCase("erf", [f32([9])], erf),
      opCase("erf near 0", [f32([5], -0.1, 0.1)], (a) => mul(erf(a), 10)),
    ],
  },
  atan2: {
    float: Math.atan2,
    enclose: enclosedAngle,
    use: ofTwo(atan2, ["f32"]),
    cases: [opCase("atan2", [f32([5, 4]), f32([4])], atan2)],
  },
  mod: {
    float: remainder,
    whole: (x, y) => y === 0 ? 0 : remainder(x, y),
    enclose: enclosedRemainder,
    use: ofTwo(mod),
    cases: [
      opCase("mod", [f32([3, 5], -9, 9), f32([5], 0.5, 2)], mod),
      opCase("mod by a negative number", [f32([9], -9, 9)], (a) => mod(a, -2.5)),
      opCase(
        "mod of integers",
        [u32([7], 100), f32([7])],
        (a, b) => mul(cast(add(cast(mod(a, 7), "i32"), mod(cast(a, "i32"), -7)), "f32"), b),
      ),
    ],
  },
  clampMin: {
    float: (x, y) => Math.max(x, y),
    enclose: larger,
  },
  clampMax: {
    float: (x, y) => Math.min(x, y),
    enclose: (a, b) => negated(larger(negated(a), negated(b))),
  },
};

function negated({ lo, hi, nan }: Enclosure): Enclosure {
  return { lo: -hi, hi: -lo, nan };
}

/** NaN below -1. */
function enclosedLog1p({ lo, hi, nan }: Enclosure): Enclosure {
  if (hi < -1) return ONLY_NAN;
  return increasing(
    { lo: Math.max(lo, -1), hi, nan: nan || lo < -1 },
    Math.log1p,
    (x) => Number.isFinite(x) && x > -1 ? 12 : 0,
  );
}

/** Of a box that has neither the origin nor the cut in it the corners are the extremes; elsewhere any angle. */
function enclosedAngle(y: Enclosure, x: Enclosure): Enclosure {
  if (!hasNumber(y) || !hasNumber(x)) return ONLY_NAN;
  const nan = y.nan || x.nan;
  const isCertain = isPoint(y) && isPoint(x);
  const touchesCut = y.lo <= 0 && y.hi >= 0 && (x.lo <= 0);
  if (!isCertain && touchesCut) return rounded(between(-Math.PI, Math.PI, nan), 8);
  const corners = [y.lo, y.hi].flatMap((a) => [x.lo, x.hi].map((b) => Math.atan2(a, b)));
  return withEitherZeroUnlessCertain(
    rounded({ lo: Math.min(...corners), hi: Math.max(...corners), nan }, 8),
    isCertain,
  );
}

function withEitherZeroUnlessCertain(angle: Enclosure, isCertain: boolean): Enclosure {
  return isCertain ? angle : withEitherZero(angle);
}

/** PyTorch's: exact, with the sign of `y`. */
function remainder(x: number, y: number): number {
  const rest = x % y;
  return rest !== 0 && rest < 0 !== y < 0 ? rest + y : rest;
}

function enclosedRemainder(a: Enclosure, b: Enclosure): Enclosure {
  if (!hasNumber(a) || !hasNumber(b)) return ONLY_NAN;
  if (a.lo === a.hi && b.lo === b.hi) {
    const exact = remainder(a.lo, b.lo);
    if (Number.isNaN(exact)) return ONLY_NAN;
    return { ...withEitherZero(rounded(between(exact, exact))), nan: a.nan || b.nan };
  }
  const nan = a.nan || b.nan || b.lo <= 0 && b.hi >= 0 || a.lo === -Infinity || a.hi === Infinity;
  const bounds = between(Math.min(b.lo, -0), Math.max(b.hi, 0), nan);
  // Of an infinite b what has its sign stays as it is.
  return withEitherZero(
    Math.abs(b.lo) === Infinity || Math.abs(b.hi) === Infinity ? union(bounds, a) : bounds,
  );
}
