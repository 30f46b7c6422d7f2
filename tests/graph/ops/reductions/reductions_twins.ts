import { add, mul, square } from "../../../../src/graph/ops/arithmetic.ts";
import { cast } from "../../../../src/graph/ops/cast.ts";
import { greater } from "../../../../src/graph/ops/comparison.ts";
import { all, any } from "../../../../src/graph/ops/reductions/all_any.ts";
import { cumsum } from "../../../../src/graph/ops/reductions/cumsum.ts";
import { logSumExp, norm, variance } from "../../../../src/graph/ops/reductions/moments.ts";
import { prod } from "../../../../src/graph/ops/reductions/prod.ts";
import { argsort, sort, topK } from "../../../../src/graph/ops/reductions/sort.ts";
import type { Value } from "../../../../src/graph/value.ts";
import {
  ANYTHING,
  between,
  type Enclosure,
  exactly,
  hasNumber,
  ONLY_NAN,
  product,
  rounded,
  sum,
  withEitherZero,
} from "../../../helpers/enclosure.ts";
import { f32, opCase, u32 } from "../../op_case.ts";
import { encloseElement } from "../element_twins.ts";
import { alongRows, at, groupsOf } from "../elements.ts";
import type { OpTwins } from "../op_twin.ts";
import { overAxes } from "../reduction_uses.ts";

type Along = { readonly axis: number; readonly isReverse: boolean; readonly isDescending: boolean };

function alongOf(value: Value): Along {
  return value.attributes as Along;
}

function multiplied(value: Value, group: readonly number[]): number {
  if (value.dtype === "f32") return group.reduce((total, x) => total * x, 1);
  const whole = group.reduce((total, x) => Math.imul(total, x), 1);
  return value.dtype === "i32" ? whole | 0 : whole >>> 0;
}

/** Of f32 in any order, each product rounded; what may leave the range on the way may be anything. */
function enclosedProduct(value: Value, group: readonly Enclosure[]): Enclosure {
  if (value.dtype !== "f32") {
    return group.reduce((x, y) => encloseElement("mul", [x, y], value.dtype), exactly(1));
  }
  if (!group.every(hasNumber)) return ONLY_NAN;
  if (group.length <= 1) return group[0] ?? exactly(1);
  const sizes = group.flatMap(({ lo, hi }) => [Math.abs(lo), Math.abs(hi)]).filter((x) =>
    x > 0 && x < Infinity
  );
  const logarithms = sizes.map(Math.log2);
  const [up, down] = [
    logarithms.reduce((total, x) => total + Math.max(x, 0), 0),
    logarithms.reduce((total, x) => total + Math.min(x, 0), 0),
  ];
  if (up > 120 || down < -120) return ANYTHING;
  const exact = group.reduce(product);
  return withEitherZero(rounded(exact, group.length));
}

function prefixes<T>(value: Value, row: readonly T[], compute: (terms: readonly T[]) => T): T[] {
  return row.map((_, place) =>
    compute(alongOf(value).isReverse ? row.slice(place) : row.slice(0, place + 1))
  );
}

function added(value: Value, terms: readonly number[]): number {
  const total = terms.reduce((sum, x) => sum + x, 0);
  return value.dtype === "f32" ? total : value.dtype === "i32" ? total | 0 : total >>> 0;
}

/** NaN is largest; equal ones keep their order. */
function sortedPlaces(row: readonly number[], isDescending: boolean): number[] {
  const rank = (x: number): number => Number.isNaN(x) ? 1 : 0;
  const compare = (x: number, y: number): number =>
    rank(x) - rank(y) || (rank(x) === 1 ? 0 : x < y ? -1 : x > y ? 1 : 0);
  return [...row.keys()].sort((a, b) => (isDescending ? -1 : 1) * compare(at(row, a), at(row, b)) || a - b);
}

function enclosedPlaces(value: Value, row: readonly Enclosure[]): Enclosure[] {
  const isKnown = row.every(({ lo, hi, nan }) => lo > hi || lo === hi && !nan);
  if (!isKnown) return row.map(() => between(0, row.length - 1));
  return sortedPlaces(row.map(({ lo, hi }) => lo > hi ? NaN : lo), alongOf(value).isDescending).map(exactly);
}

/** Twins of `src/graph/ops/reductions/`. */
export const reductionsTwins: OpTwins = {
  prod: {
    evaluate: (value, inputs) => groupsOf(value, at(inputs, 0)).map((group) => multiplied(value, group)),
    enclose: (value, inputs) => groupsOf(value, at(inputs, 0)).map((group) => enclosedProduct(value, group)),
    use: overAxes(prod, true),
    cases: [
      opCase("prod over the last axis", [f32([3, 4])], (a) => prod(a, { axes: 1 })),
      opCase("prod of everything", [f32([2, 3], 0.5, 1.5)], (a) => prod(square(a))),
      opCase(
        "prod of integers",
        [u32([2, 4], 30), f32([2])],
        (a, b) => mul(cast(prod(a, { axes: 1 }), "f32"), mul(b, 1e-5)),
      ),
    ],
  },
  all: {
    use: (maker) => overAxes((a, options) => all(greater(a, -1), options), true)(maker),
    cases: [
      opCase(
        "all as a mask",
        [f32([3, 4])],
        (a) => mul(cast(all(greater(a, -1), { axes: 1, keepDims: true }), "f32"), a),
      ),
    ],
  },
  any: {
    use: (maker) => overAxes((a, options) => any(greater(a, 1), options), true)(maker),
    cases: [
      opCase("any as a mask", [f32([3, 4])], (a) => mul(cast(any(greater(a, 1), { axes: 0 }), "f32"), a)),
    ],
  },
  logSumExp: {
    use: overAxes(logSumExp, false),
    cases: [opCase("logSumExp", [f32([3, 4])], (a) => logSumExp(a, { axes: 1 }))],
  },
  variance: {
    use: (maker) =>
      overAxes((a, options) => variance(a, { ...options, correction: maker.random.pick([0, 1]) }), true)(
        maker,
      ),
    cases: [
      opCase("variance", [f32([3, 5])], (a) => variance(a, { axes: 1 })),
      opCase(
        "variance without a correction",
        [f32([2, 3, 2])],
        (a) => variance(a, { axes: [0, 2], correction: 0 }),
      ),
    ],
  },
  norm: {
    use: (maker) =>
      overAxes(
        (a, options) => norm(a, { ...options, order: maker.random.pick([1, 2, 2, Infinity, 3]) }),
        false,
      )(maker),
    cases: [
      opCase("norm", [f32([3, 5])], (a) => norm(a, { axes: 1 })),
      opCase("norm of order 1", [f32([3, 5])], (a) => norm(a, { axes: 0, order: 1 })),
      opCase("norm of order 3", [f32([3, 5])], (a) => norm(a, { axes: 0, order: 3 })),
    ],
  },
  cumsum: {
    evaluate: (value, inputs) =>
      alongRows(
        value,
        alongOf(value).axis,
        inputs,
        ([row = []]) => prefixes(value, row, (terms) => added(value, terms)),
      ),
    enclose: (value, inputs) =>
      alongRows(
        value,
        alongOf(value).axis,
        inputs,
        ([row = []]) =>
          prefixes(value, row, (terms) =>
            value.dtype === "f32"
              ? withEitherZero(sum(terms))
              : terms.reduce((x, y) =>
                encloseElement("add", [x, y], value.dtype), exactly(0))),
      ),
    use(maker) {
      const value = maker.notEmpty();
      return cumsum(value, {
        axis: maker.random.below(value.shape.length),
        reverse: maker.random.chance(0.5),
      });
    },
    cases: [
      opCase("cumsum", [f32([3, 5])], (a) => square(cumsum(a, { axis: 1 }))),
      opCase("cumsum from the end", [f32([5, 3])], (a) => square(cumsum(a, { axis: 0, reverse: true }))),
      opCase("cumsum of integers", [u32([6], 9), f32([6])], (a, b) => mul(cast(cumsum(a), "f32"), b)),
    ],
  },
  argsort: {
    evaluate: (value, inputs) =>
      alongRows(
        value,
        alongOf(value).axis,
        inputs,
        ([row = []]) => sortedPlaces(row, alongOf(value).isDescending),
      ),
    enclose: (value, inputs) =>
      alongRows(value, alongOf(value).axis, inputs, ([row = []]) => enclosedPlaces(value, row)),
    use(maker) {
      const value = maker.notEmpty();
      return argsort(value, {
        axis: maker.random.below(value.shape.length),
        descending: maker.random.chance(0.5),
      });
    },
    cases: [opCase("argsort as numbers", [f32([3, 5])], (a) => mul(cast(argsort(a), "f32"), a))],
  },
  sort: {
    use(maker) {
      const value = maker.notEmpty();
      return sort(value, {
        axis: maker.random.below(value.shape.length),
        descending: maker.random.chance(0.5),
      }).values;
    },
    cases: [
      opCase("sort", [f32([3, 5])], (a) => square(sort(a).values)),
      opCase(
        "sort downwards over the first axis",
        [f32([5, 3]), f32([5, 1])],
        (a, b) => mul(sort(a, { axis: 0, descending: true }).values, b),
      ),
    ],
  },
  topK: {
    use(maker) {
      const value = maker.notEmpty();
      const axis = maker.random.below(value.shape.length);
      const k = 1 + maker.random.below(at(value.shape, axis));
      return topK(value, k, { axis, largest: maker.random.chance(0.7) }).values;
    },
    cases: [
      opCase("topK", [f32([3, 7])], (a) => {
        const { values, indices } = topK(a, 3);
        return add(square(values), cast(indices, "f32"));
      }),
    ],
  },
};
