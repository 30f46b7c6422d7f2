import {
  abs,
  add,
  ANYTHING,
  between,
  div,
  type Enclosure,
  exactly,
  hasNumber,
  increasing,
  isPoint,
  mul,
  neg,
  notNegative,
  ONLY_NAN,
  rounded,
  square,
  ulp,
  union,
  withEitherZero,
} from "./enclosure.ts";

// The accuracy of WGSL's functions (https://www.w3.org/TR/WGSL/#floating-point-accuracy), and of those that Cairn
// composes of them.

/** 3 + 2|x| units in the last place. */
export function exp(a: Enclosure): Enclosure {
  return increasing(a, Math.exp, (x) => Number.isFinite(x) ? 3 + 2 * Math.abs(x) : 0);
}

/** 2^-21 from 0.5 to 2, 3 units elsewhere. */
export function log(a: Enclosure): Enclosure {
  const from = notNegative(a);
  if (!hasNumber(from)) return ONLY_NAN;
  const at = (x: number): Enclosure => {
    const exact = between(Math.log(x), Math.log(x));
    return x >= 0.5 && x <= 2 ? rounded(exact, 0, 2 ** -21) : rounded(exact, 3);
  };
  return { ...union(at(from.lo), at(from.hi)), nan: from.nan };
}

/** The reciprocal of the inverse root: 2 units, and 2.5 of the division. */
export function sqrt(a: Enclosure): Enclosure {
  return withEitherZero(increasing(notNegative(a), Math.sqrt, () => 4.5));
}

/** 2 units. The sign of 1 / √-0 is open. */
export function rsqrt(a: Enclosure): Enclosure {
  const { lo, hi, nan } = notNegative(a);
  if (lo > hi) return ONLY_NAN;
  const inverse = (x: number): number => 1 / Math.sqrt(x);
  const result = rounded({ lo: inverse(Math.abs(hi)), hi: inverse(Math.abs(lo)), nan }, 2);
  return Object.is(lo, -0) ? { ...result, lo: -Infinity } : result;
}

/** `1 / a`. */
export function reciprocal(a: Enclosure): Enclosure {
  return div(exactly(1), a);
}

/** 2^-11 within [-π, π]; elsewhere any number that a sine may be. */
export function wave(a: Enclosure, compute: (x: number) => number): Enclosure {
  if (!hasNumber(a) || a.lo === a.hi && !Number.isFinite(a.lo)) return ONLY_NAN;
  const nan = a.nan || !Number.isFinite(a.lo) || !Number.isFinite(a.hi);
  const width = a.hi - a.lo;
  const error = 2 ** -11 + 2 ** -22;
  const isNear = Math.max(-a.lo, a.hi) <= Math.PI && width <= 1;
  if (!isNear) return between(-1 - error, 1 + error, nan);
  const [first, second] = [compute(a.lo), compute(a.hi)];
  return rounded({ lo: Math.min(first, second) - width, hi: Math.max(first, second) + width, nan }, 0, error);
}

/**
 * Below 0.3 a series: some roundings. Elsewhere (1 - e) / (1 + e) with e = exp(-2|x|), whose relative error of at
 * most 5 units, times 2e / (1 - e²) < 1.6, joins the roundings of three operations.
 */
export function tanh(a: Enclosure): Enclosure {
  return withEitherZero(increasing(a, Math.tanh, () => 16));
}

/** The error of exp(-|x|), and the roundings of a sum, a quotient and a product. */
export function sigmoid(a: Enclosure): Enclosure {
  const ulps = (x: number): number => Number.isFinite(x) ? 10 + 2 * Math.abs(x) : 0;
  return increasing(a, (x) => 1 / (1 + Math.exp(-x)), ulps);
}

/** The larger one; NaN when one is. */
export function maximum(a: Enclosure, b: Enclosure): Enclosure {
  if (!hasNumber(a) || !hasNumber(b)) return ONLY_NAN;
  const [lo, hi] = [Math.max(a.lo, b.lo), Math.max(a.hi, b.hi)];
  return withEitherZero({ lo, hi, nan: a.nan || b.nan });
}

/** The smaller one; NaN when one is. */
export function minimum(a: Enclosure, b: Enclosure): Enclosure {
  return neg(maximum(neg(a), neg(b)));
}

/** `a - b`. */
export function sub(a: Enclosure, b: Enclosure): Enclosure {
  return add(a, neg(b));
}

/** -1, 0 or 1. */
export function sign(a: Enclosure): Enclosure {
  return hasNumber(a) ? withEitherZero(between(Math.sign(a.lo), Math.sign(a.hi), a.nan)) : ONLY_NAN;
}

/** The largest whole number not above. */
export function floor(a: Enclosure): Enclosure {
  return withEitherZero(increasing(a, Math.floor));
}

/** C's `pow`: 1^y and x^0 are 1, also of NaN. */
export function pow(a: Enclosure, b: Enclosure): Enclosure {
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
  const exact = x === 1 || x === -1 && Math.abs(y) === Infinity ? 1 : x ** y;
  if (Number.isNaN(exact)) return ONLY_NAN;
  if (x === 0 || !Number.isFinite(x) || !Number.isFinite(y)) return between(exact, exact);
  const logarithm = Math.log2(Math.abs(x));
  const exponent = y * logarithm;
  const inLogarithm = Math.abs(y) * Math.max(2 ** -21, 3 * ulp(logarithm)) + Math.abs(exponent) * 2 ** -23;
  const ulps = 4 + 2 * Math.abs(exponent) + inLogarithm * Math.LN2 * 2 ** 24;
  return withEitherZero(rounded(between(exact, exact), Math.min(ulps, 2 ** 22)));
}

/** Functions of one f32, by the name of their op. */
export const FLOAT_FUNCTIONS: Readonly<Record<string, (a: Enclosure) => Enclosure>> = {
  neg,
  abs,
  exp,
  log,
  sqrt,
  rsqrt,
  tanh,
  sigmoid,
  relu: (a) => maximum(a, exactly(0)),
  sin: (a) => wave(a, Math.sin),
  cos: (a) => wave(a, Math.cos),
  floor,
  sign,
  square,
  reciprocal,
};

/** Functions of two f32, by the name of their op. */
export const FLOAT_OPERATORS: Readonly<Record<string, (a: Enclosure, b: Enclosure) => Enclosure>> = {
  add,
  sub,
  mul,
  div,
  pow,
  maximum,
  minimum,
};
