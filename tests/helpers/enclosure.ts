/**
 * What a float32 computation may give, by the accuracy that WGSL documents: every number from `lo` to `hi`, and NaN
 * if `nan`. Nothing but NaN has `lo` above `hi`. Bounds are float64; -0 is below 0, so that a bound also says which
 * zeros there may be.
 */
export interface Enclosure {
  readonly lo: number;
  readonly hi: number;
  readonly nan: boolean;
}

/** Nothing but NaN. */
export const ONLY_NAN: Enclosure = { lo: Infinity, hi: -Infinity, nan: true };

/** Anything. */
export const ANYTHING: Enclosure = { lo: -Infinity, hi: Infinity, nan: true };

const SMALLEST_NORMAL = 2 ** -126;
const OVERFLOW = 2 ** 128;

/** Every number from `lo` to `hi`. */
export function between(lo: number, hi: number, nan: boolean = false): Enclosure {
  return { lo, hi, nan };
}

/** `x` as it is loaded. A subnormal may be taken for 0. */
export function exactly(x: number): Enclosure {
  return Number.isNaN(x) ? ONLY_NAN : flushed(x, x, false);
}

/** Whether there is a number in it. */
export function hasNumber({ lo, hi }: Enclosure): boolean {
  return lo <= hi;
}

/** Whether it is one number. */
export function isPoint({ lo, hi }: Enclosure): boolean {
  return lo === hi && (lo !== 0 || Object.is(lo, hi));
}

/** Whether a computation may have given `x`. The sign of a zero counts where it is certain. */
export function encloses({ lo, hi, nan }: Enclosure, x: number): boolean {
  if (Number.isNaN(x)) return nan;
  if (x === 0 && lo === 0 && hi === 0 && Object.is(lo, hi)) return Object.is(x, lo);
  return lo <= x && x <= hi;
}

/** Whether it says much: NaN, an infinity, or numbers that are close together. */
export function isTelling({ lo, hi, nan }: Enclosure): boolean {
  if (lo > hi) return true;
  if (nan) return false;
  return lo === hi || hi - lo <= 1e-2 * Math.max(Math.abs(lo), Math.abs(hi));
}

/** Either of two. */
export function union(a: Enclosure, b: Enclosure): Enclosure {
  return { lo: Math.min(a.lo, b.lo), hi: Math.max(a.hi, b.hi), nan: a.nan || b.nan };
}

/** The same with zeros of either sign where there is one: WGSL leaves the sign open. */
export function withEitherZero({ lo, hi, nan }: Enclosure): Enclosure {
  return { lo: lo === 0 ? -0 : lo, hi: hi === 0 ? 0 : hi, nan };
}

/**
 * Exact bounds, rounded outwards to float32 with `ulps` units in the last place (the same for both bounds, or one for
 * each) and an absolute error besides.
 */
export function rounded(
  { lo, hi, nan }: Enclosure,
  ulps: number | readonly [number, number] = 0,
  absolute: number = 0,
): Enclosure {
  if (lo > hi) return { lo, hi, nan };
  const [below, above] = typeof ulps === "number" ? [ulps, ulps] : ulps;
  return flushed(
    isSpecial(lo) && absolute === 0 ? lo : down(lo - below * ulp(lo) - absolute),
    isSpecial(hi) && absolute === 0 ? hi : up(hi + above * ulp(hi) + absolute),
    nan,
  );
}

function isSpecial(x: number): boolean {
  return x === 0 || !Number.isFinite(x);
}

/** Adapters may take subnormal operands and results for 0. */
function flushed(lo: number, hi: number, nan: boolean): Enclosure {
  return {
    lo: lo > 0 && lo < SMALLEST_NORMAL ? 0 : lo,
    hi: hi < 0 && hi > -SMALLEST_NORMAL ? -0 : hi,
    nan,
  };
}

const word = new DataView(new ArrayBuffer(4));

/** The distance of float32 numbers at `x`. */
export function ulp(x: number): number {
  word.setFloat32(0, Math.min(Math.abs(x), 3e38));
  return 2 ** (Math.max(word.getUint32(0) >>> 23, 1) - 150);
}

/** The largest float32 that is not above `x`; what lies beyond the range is infinite. */
function down(x: number): number {
  if (Math.abs(x) >= OVERFLOW) return x > 0 ? Infinity : -Infinity;
  const near = Math.fround(x);
  return near <= x ? near : neighbour(near, -1);
}

function up(x: number): number {
  return -down(-x);
}

function neighbour(x: number, direction: 1 | -1): number {
  if (x === 0) return direction * 2 ** -149;
  word.setFloat32(0, x);
  word.setUint32(0, word.getUint32(0) + (x > 0 ? direction : -direction));
  return word.getFloat32(0);
}

/** Whether an infinity of that sign is in it. */
function reaches({ lo, hi }: Enclosure, infinity: number): boolean {
  return infinity > 0 ? hi === Infinity : lo === -Infinity;
}

function isInfinite(x: Enclosure): boolean {
  return hasNumber(x) && (reaches(x, Infinity) || reaches(x, -Infinity));
}

function hasZero({ lo, hi }: Enclosure): boolean {
  return lo <= 0 && hi >= 0;
}

/** `a + b`, correctly rounded. */
export function add(a: Enclosure, b: Enclosure): Enclosure {
  if (!hasNumber(a) || !hasNumber(b)) return ONLY_NAN;
  const nan = a.nan || b.nan || reaches(a, Infinity) && reaches(b, -Infinity) ||
    reaches(a, -Infinity) && reaches(b, Infinity);
  // A bound that is infinity minus infinity belongs to an operand that is infinite everywhere.
  const [lo, hi] = [a.lo + b.lo, a.hi + b.hi];
  return rounded({ lo: Number.isNaN(lo) ? Infinity : lo, hi: Number.isNaN(hi) ? -Infinity : hi, nan });
}

/** `-a`, exact. */
export function neg({ lo, hi, nan }: Enclosure): Enclosure {
  return lo > hi ? ONLY_NAN : { lo: -hi, hi: -lo, nan };
}

/** `a * b`, before it is rounded. */
export function product(a: Enclosure, b: Enclosure): Enclosure {
  if (!hasNumber(a) || !hasNumber(b)) return ONLY_NAN;
  const nan = a.nan || b.nan || hasZero(a) && isInfinite(b) || hasZero(b) && isInfinite(a);
  const corners = [a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi];
  return fromCorners(corners, nan, !isPoint(a) || !isPoint(b) ? [-0, 0] : []);
}

/** The hull of the corners; those that are NaN stand for `instead`, which other numbers of the operands give. */
function fromCorners(corners: readonly number[], nan: boolean, instead: readonly number[]): Enclosure {
  const numbers = corners.filter((corner) => !Number.isNaN(corner));
  if (numbers.length < corners.length) numbers.push(...instead);
  return { lo: Math.min(...numbers), hi: Math.max(...numbers), nan };
}

/** `a * b`, correctly rounded. */
export function mul(a: Enclosure, b: Enclosure): Enclosure {
  return rounded(product(a, b));
}

/** `a * a`, correctly rounded. */
export function square(a: Enclosure): Enclosure {
  if (!hasNumber(a)) return ONLY_NAN;
  const magnitude = abs(a);
  return rounded({ lo: magnitude.lo ** 2, hi: magnitude.hi ** 2, nan: a.nan });
}

/** `a / b` to 2.5 units in the last place. A quotient by more than 2^126 may be 0: its reciprocal is subnormal. */
export function div(a: Enclosure, b: Enclosure): Enclosure {
  if (!hasNumber(a) || !hasNumber(b)) return ONLY_NAN;
  const nan = a.nan || b.nan || hasZero(a) && hasZero(b) || isInfinite(a) && isInfinite(b);
  const parts: Enclosure[] = [];
  const isNegative = b.lo < 0 || Object.is(b.lo, -0);
  const isPositive = b.hi > 0 || Object.is(b.hi, 0);
  if (isNegative) parts.push(quotients(a, { ...b, hi: Math.min(b.hi, -0) }, nan));
  if (isPositive) parts.push(quotients(a, { ...b, lo: Math.max(b.lo, 0) }, nan));
  const quotient = rounded(parts.reduce(union), 2.5);
  const isFar = Math.max(Math.abs(b.lo), Math.abs(b.hi)) > 2 ** 126 && hasNumber(quotient);
  return isFar ? union(quotient, { lo: -0, hi: 0, nan: false }) : quotient;
}

/** Quotients by divisors of one sign. */
function quotients(a: Enclosure, b: Enclosure, nan: boolean): Enclosure {
  const corners = [a.lo / b.lo, a.lo / b.hi, a.hi / b.lo, a.hi / b.hi];
  const areInfinite = isInfinite(a) && isInfinite(b);
  return fromCorners(corners, nan, [
    ...areInfinite && !isPoint(a) ? [-0, 0] : [],
    ...areInfinite && !isPoint(b) ? [-Infinity, Infinity] : [],
  ]);
}

/** `|a|`, exact. */
export function abs({ lo, hi, nan }: Enclosure): Enclosure {
  if (lo > hi) return ONLY_NAN;
  if (lo <= 0 && hi >= 0) return { lo: 0, hi: Math.max(-lo, hi), nan };
  return lo > 0 ? { lo, hi, nan } : { lo: -hi, hi: -lo, nan };
}

/** A function that grows, with its error at each bound. */
export function increasing(
  { lo, hi, nan }: Enclosure,
  compute: (x: number) => number,
  ulps: (x: number) => number = () => 0,
): Enclosure {
  if (lo > hi) return ONLY_NAN;
  return rounded({ lo: compute(lo), hi: compute(hi), nan }, [ulps(lo), ulps(hi)]);
}

/** The part of it that is not negative, and NaN for the rest: what roots and logarithms are of. */
export function notNegative({ lo, hi, nan }: Enclosure): Enclosure {
  if (hi < 0) return ONLY_NAN;
  return lo < 0 ? { lo: -0, hi, nan: true } : { lo, hi, nan };
}

/**
 * A sum in any order, each addition rounded to one of the two neighbours. With `products`, each term is rounded
 * before, as a product is.
 */
export function sum(terms: readonly Enclosure[], products: boolean = false): Enclosure {
  if (terms.length === 0) return { lo: 0, hi: 0, nan: false };
  if (!terms.every(hasNumber)) return ONLY_NAN;
  const [up, down] = [
    terms.some((term) => reaches(term, Infinity)),
    terms.some((term) => reaches(term, -Infinity)),
  ];
  const nan = terms.some((term) => term.nan) || up && down;
  const isAlways = (infinity: number) => terms.some(({ lo, hi }) => lo === infinity && hi === infinity);
  if (isAlways(Infinity)) return isAlways(-Infinity) ? ONLY_NAN : { lo: Infinity, hi: Infinity, nan };
  if (isAlways(-Infinity)) return { lo: -Infinity, hi: -Infinity, nan };
  const lo = terms.reduce((total, term) => total + term.lo, 0);
  const hi = terms.reduce((total, term) => total + term.hi, 0);
  const magnitudes = terms.map(magnitudeOf);
  const total = magnitudes.reduce((all, magnitude) => all + magnitude, 0);
  const isExact = total <= 2 ** 24 && terms.every((term) => isPoint(term) && Number.isInteger(term.lo));
  if (isExact) return withEitherZero({ lo, hi, nan });
  const steps = terms.length - (products ? 0 : 1);
  if (steps === 0) return { lo, hi, nan };
  const error = steps * (2 ** -23 * total * 1.001 + SMALLEST_NORMAL);
  if (total + error >= OVERFLOW * (1 - 2 ** -24)) {
    const isOneSign = terms.every((term) => term.lo >= 0) || terms.every((term) => term.hi <= 0);
    if (!isOneSign) return ANYTHING;
    return lo >= 0
      ? { ...rounded({ lo: lo - error, hi, nan }), hi: Infinity }
      : { ...rounded({ lo, hi: hi + error, nan }), lo: -Infinity };
  }
  return withEitherZero(rounded({ lo: lo - error, hi: hi + error, nan }));
}

/** The largest finite magnitude in it. */
function magnitudeOf({ lo, hi }: Enclosure): number {
  return Math.max(...[lo, hi].map(Math.abs).map((x) => x === Infinity ? 0 : x));
}
