import { mul, square } from "../../../../src/graph/ops/arithmetic.ts";
import { cast } from "../../../../src/graph/ops/cast.ts";
import { oneHot } from "../../../../src/graph/ops/indexing/one_hot.ts";
import { scatter } from "../../../../src/graph/ops/indexing/scatter.ts";
import { embedding, gather, take, takeAlongAxis } from "../../../../src/graph/ops/indexing/take.ts";
import { mod } from "../../../../src/graph/ops/elementary/mod.ts";
import { constant } from "../../../../src/graph/ops/sources.ts";
import type { Value } from "../../../../src/graph/value.ts";
import { HostTensor } from "../../../../src/tensor/host_tensor.ts";
import type { GraphMaker } from "../../../faults/numerics/graph_maker.ts";
import {
  between,
  type Enclosure,
  exactly,
  ONLY_NAN,
  sum,
  union,
  withEitherZero,
} from "../../../helpers/enclosure.ts";
import { f32, opCase, u32 } from "../../op_case.ts";
import { encloseElement } from "../element_twins.ts";
import { at, broadcast } from "../elements.ts";
import type { OpTwins } from "../op_twin.ts";

/** A tensor seen as `[outer, size, inner]`, of which `count` places are named. */
interface Sizes {
  readonly outer: number;
  readonly size: number;
  readonly inner: number;
  readonly count: number;
}

function sizesOf(value: Value, whole: Value, named: Value): Sizes {
  const { axis } = value.attributes as { axis: number };
  const of = (list: readonly number[]): number => list.reduce((product, size) => product * size, 1);
  const [outer, inner] = [of(whole.shape.slice(0, axis)), of(whole.shape.slice(axis + 1))];
  return { outer, size: at(whole.shape, axis), inner, count: of(named.shape) / Math.max(outer * inner, 1) };
}

/** Each named element: where it is, where its index is, and which column it belongs to. */
function named(
  value: Value,
  { outer, inner, count }: Sizes,
): { place: number; index: number; row: number; column: number }[] {
  const { isShared } = value.attributes as { isShared: boolean };
  return Array.from({ length: outer * count * inner }, (_, place) => {
    const which = Math.floor(place / inner) % count;
    return {
      place,
      index: isShared ? which : place,
      row: Math.floor(place / inner / count),
      column: place % inner,
    };
  });
}

function taken<T, I>(
  value: Value,
  elements: ArrayLike<T>,
  indices: ArrayLike<I>,
  choose: (row: T[], index: I) => T,
): T[] {
  const sizes = sizesOf(value, at(value.inputs, 0), value);
  return named(value, sizes).map(({ index, row, column }) => {
    const whole = Array.from(
      { length: sizes.size },
      (_, place) => at(elements, (row * sizes.size + place) * sizes.inner + column),
    );
    return choose(whole, at(indices, index));
  });
}

function nothingOf(value: Value): number {
  return value.dtype === "f32" ? NaN : 0;
}

function enclosedChoice(value: Value, row: readonly Enclosure[], { lo, hi }: Enclosure): Enclosure {
  const beyond = exactly(nothingOf(value));
  const inside = row.slice(Math.min(lo, row.length), hi + 1);
  if (inside.length === 0) return beyond;
  const all = inside.reduce(union);
  return hi < row.length ? all : union(all, beyond);
}

/** The updates of each place of `value`, in their order, with whether it is certain that they are its own. */
function updatesOf<T>(value: Value, indices: readonly Enclosure[], updates: ArrayLike<T>, first: number): {
  update: T;
  isCertain: boolean;
}[][] {
  const sizes = sizesOf(value, value, at(value.inputs, first + 1));
  const places = Array.from(
    { length: sizes.outer * sizes.size * sizes.inner },
    (): { update: T; isCertain: boolean }[] => [],
  );
  for (const { place, index, row, column } of named(value, sizes)) {
    const { lo, hi } = at(indices, index);
    for (let to = lo; to <= Math.min(hi, sizes.size - 1); to++) {
      at(places, (row * sizes.size + to) * sizes.inner + column)
        .push({ update: at(updates, place), isCertain: lo === hi });
    }
  }
  return places;
}

function points(numbers: ArrayLike<number>): Enclosure[] {
  return Array.from(numbers, (x) => between(x, x));
}

function summed(value: Value, terms: readonly { update: Enclosure; isCertain: boolean }[]): Enclosure {
  const all = terms.map(({ update, isCertain }) => isCertain ? update : union(update, exactly(0)));
  if (value.dtype === "f32") return withEitherZero(sum(all));
  return all.reduce((x, y) => encloseElement("add", [x, y], value.dtype), exactly(0));
}

/** Indices of `shape`, most of which are places below `size`. */
function indicesFor(maker: GraphMaker, shape: readonly number[], size: number): Value {
  const made = maker.leaf("u32", shape);
  return maker.random.chance(0.5) ? made : maker.keep(mod(made, Math.max(size, 1)));
}

function someAxis(maker: GraphMaker): { value: Value; axis: number; size: number } {
  const value = maker.notEmpty();
  const axis = maker.random.below(value.shape.length);
  return { value, axis, size: at(value.shape, axis) };
}

/** Twins of `src/graph/ops/indexing/`. */
export const indexingTwins: OpTwins = {
  take: {
    evaluate: (value, inputs) =>
      taken(value, at(inputs, 0), at(inputs, 1), (row, index) => row[index] ?? nothingOf(value)),
    enclose: (value, inputs) =>
      taken(value, at(inputs, 0), at(inputs, 1), (row, index) => enclosedChoice(value, row, index)),
    use(maker) {
      const { value, axis, size } = someAxis(maker);
      return take(value, indicesFor(maker, maker.random.pick([[3], [2, 2], []]), size), { axis });
    },
    cases: [
      opCase("take", [f32([4, 3]), u32([5], 4)], (a, i) => square(take(a, i))),
      opCase(
        "take of the last axis by a matrix",
        [f32([2, 5]), u32([2, 3], 5)],
        (a, i) => square(take(a, i, { axis: 1 })),
      ),
      opCase("take by i32", [f32([3, 4]), u32([2], 3)], (a, i) => square(take(a, cast(i, "i32")))),
    ],
  },
  embedding: {
    use(maker) {
      const weights = maker.f32(({ shape }) => shape.length === 2 && !shape.includes(0));
      return embedding(weights, indicesFor(maker, [2, 3], at(weights.shape, 0)), {
        ...maker.random.chance(0.4) ? { paddingIndex: 0 } : {},
      });
    },
    cases: [
      opCase("embedding", [f32([5, 4]), u32([2, 3], 5)], (a, i) => square(embedding(a, i))),
    ],
  },
  takeAlongAxis: {
    use(maker) {
      const { value, axis, size } = someAxis(maker);
      const shape = value.shape.map((length, of) => of === axis ? 3 : maker.random.chance(0.3) ? 1 : length);
      return takeAlongAxis(value, indicesFor(maker, shape, size), { axis });
    },
    cases: [
      opCase(
        "takeAlongAxis",
        [f32([3, 4]), u32([3, 2], 4)],
        (a, i) => square(takeAlongAxis(a, i, { axis: 1 })),
      ),
      opCase(
        "takeAlongAxis that broadcasts",
        [f32([3, 1, 2]), u32([2, 4, 1], 3)],
        (a, i) => square(takeAlongAxis(a, i, { axis: 0 })),
      ),
    ],
  },
  gather: {
    use(maker) {
      const { value, axis, size } = someAxis(maker);
      const shape = value.shape.map((length, of) => of === axis ? 2 : Math.max(1, length - 1));
      return gather(value, indicesFor(maker, shape, size), { axis });
    },
    cases: [opCase("gather of fewer columns", [f32([4, 3]), u32([5, 2], 4)], (a, i) => square(gather(a, i)))],
  },
  scatterSum: {
    evaluate: (value, inputs) =>
      updatesOf(value, points(at(inputs, 0)), at(inputs, 1), 0).map((terms) => {
        const total = terms.reduce((sum, { update }) => sum + update, 0);
        return value.dtype === "f32" ? total : value.dtype === "i32" ? total | 0 : total >>> 0;
      }),
    enclose: (value, inputs) =>
      updatesOf(value, at(inputs, 0), at(inputs, 1), 0).map((terms) => summed(value, terms)),
  },
  scatter: {
    evaluate: (value, inputs) =>
      updatesOf(value, points(at(inputs, 1)), at(inputs, 2), 1).map((terms, place) =>
        terms.at(-1)?.update ?? at(at(inputs, 0), place)
      ),
    enclose: (value, inputs) =>
      updatesOf(value, at(inputs, 1), at(inputs, 2), 1).map((terms, place) =>
        terms.reduce(
          (is, { update, isCertain }) => isCertain ? update : union(is, update),
          at(at(inputs, 0), place),
        )
      ),
    use(maker) {
      const { value, axis, size } = someAxis(maker);
      const updates = maker.leaf("f32", value.shape.with(axis, 3));
      const indices = indicesFor(maker, maker.random.chance(0.5) ? [3] : updates.shape, size);
      return scatter(value, indices, updates, { axis, ...maker.random.chance(0.5) ? { reduce: "sum" } : {} });
    },
    cases: [
      opCase(
        "scatter that adds up",
        [f32([3, 4]), u32([3, 2], 4), f32([3, 2])],
        (a, i, b) => square(scatter(a, i, b, { axis: 1, reduce: "sum" })),
      ),
      opCase(
        "scatter of rows",
        [f32([5, 2]), f32([2, 2])],
        (a, b) => square(scatter(a, constant(HostTensor.from(Uint32Array.of(3, 0))), b)),
      ),
    ],
  },
  oneHot: {
    evaluate: (value, inputs) => broadcast(value, inputs, ([index, column]) => Number(index === column)),
    enclose: (value, inputs) =>
      broadcast(
        value,
        inputs,
        ([index = ONLY_NAN, column = ONLY_NAN]) =>
          index.lo === index.hi
            ? exactly(Number(index.lo === column.lo))
            : between(0, index.lo <= column.lo && column.lo <= index.hi ? 1 : 0),
      ),
    use: (maker) => oneHot(maker.value(maker.random.pick(["u32", "i32"])), maker.random.pick([1, 3, 4])),
    cases: [opCase("oneHot", [u32([2, 3], 4), f32([4])], (i, b) => mul(oneHot(i, 4), b))],
  },
};
