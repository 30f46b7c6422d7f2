import { pow } from "../../../src/graph/ops/power.ts";
import {
  ANYTHING,
  between,
  type Enclosure,
  exactly,
  hasNumber,
  isPoint,
  ONLY_NAN,
  rounded,
  ulp,
  union,
  withEitherZero,
} from "../../helpers/enclosure.ts";
import { f32, opCase } from "../op_case.ts";
import { type ElementTwins, ofTwo } from "./element_twin.ts";

/** As C has it. JavaScript gives NaN for 1 to a power that is NaN, and for 1 and -1 to one that is infinite. */
function powerInC(x: number, y: number): number {
  return x === 1 || x === -1 && Math.abs(y) === Infinity ? 1 : x ** y;
}

/** Twin of `src/graph/ops/power.ts`. */
export const powerTwins: ElementTwins = {
  pow: {
    float: powerInC,
    enclose: power,
    use: ofTwo(pow, ["f32"]),
    cases: [opCase("pow that broadcasts", [f32([3, 2], 0.5, 2), f32([2])], pow)],
  },
};

/** C's `pow`: 1^y and x^0 are 1, also of NaN. */
function power(a: Enclosure, b: Enclosure): Enclosure {
  const isOne = isPoint(a) && !a.nan && a.lo === 1 || !b.nan && b.lo === 0 && b.hi === 0;
  if (isOne) return exactly(1);
  const mayBeOne = a.nan && hasNumber(b) && b.lo <= 0 && b.hi >= 0 ||
    b.nan && hasNumber(a) && a.lo <= 1 && a.hi >= 1;
  const numbers = hasNumber(a) && hasNumber(b) ? powerOf(a, b) : ONLY_NAN;
  const result = { ...numbers, nan: numbers.nan || a.nan || b.nan };
  return mayBeOne ? union(result, exactly(1)) : result;
}

function powerOf(a: Enclosure, b: Enclosure): Enclosure {
  if (b.lo === b.hi && Number.isInteger(b.lo)) return wholePower(a, b.lo);
  if (Object.is(a.lo, -0) || a.lo < 0) {
    const isAlwaysNegative = a.hi < 0 && a.lo > -Infinity;
    return isAlwaysNegative && b.lo === b.hi && Number.isFinite(b.lo) ? ONLY_NAN : ANYTHING;
  }
  const corners = [a.lo, a.hi].flatMap((x) => [b.lo, b.hi].map((y) => cornerOf(x, y)));
  return corners.reduce(union);
}

/** `x^y` of a known whole power: the powers of the parts below and above 0. */
function wholePower(a: Enclosure, y: number): Enclosure {
  const parts: number[][] = [];
  if (a.lo < 0 || Object.is(a.lo, -0)) parts.push([a.lo, Math.min(a.hi, -0)]);
  if (a.hi > 0 || Object.is(a.hi, 0)) parts.push([Math.max(a.lo, 0), a.hi]);
  return parts.flatMap((part) => part.map((x) => cornerOf(x, y))).reduce(union);
}

/**
 * exp2(y log2 x): the error of the logarithm (2^-21, or 3 units) times y, that of the product, and 3 + 2|y log2 x|
 * units of exp2.
 */
function cornerOf(x: number, y: number): Enclosure {
  const exact = powerInC(x, y);
  if (Number.isNaN(exact)) return ONLY_NAN;
  if (x === 0 || !Number.isFinite(x) || !Number.isFinite(y)) return between(exact, exact);
  const logarithm = Math.log2(Math.abs(x));
  const exponent = y * logarithm;
  const inLogarithm = Math.abs(y) * Math.max(2 ** -21, 3 * ulp(logarithm)) + Math.abs(exponent) * 2 ** -23;
  const ulps = 4 + 2 * Math.abs(exponent) + inLogarithm * Math.LN2 * 2 ** 24;
  return withEitherZero(rounded(between(exact, exact), Math.min(ulps, 2 ** 22)));
}
