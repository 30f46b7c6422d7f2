import { add, mul, square } from "../../../../src/graph/ops/arithmetic.ts";
import { expandDims, squeeze, tile } from "../../../../src/graph/ops/movement/axes.ts";
import { concat, stack } from "../../../../src/graph/ops/movement/concat.ts";
import { flip } from "../../../../src/graph/ops/movement/flip.ts";
import { pad } from "../../../../src/graph/ops/movement/pad.ts";
import { slice, split } from "../../../../src/graph/ops/movement/slice.ts";
import { transpose } from "../../../../src/graph/ops/views.ts";
import type { Value } from "../../../../src/graph/value.ts";
import type { GraphMaker } from "../../../faults/numerics/graph_maker.ts";
import { type Enclosure, exactly, isPoint } from "../../../helpers/enclosure.ts";
import { f32, opCase } from "../../op_case.ts";
import { at, moved } from "../elements.ts";
import type { OpTwins } from "../op_twin.ts";

type Move = Readonly<Record<"axis" | "start" | "step" | "before" | "fill", number>>;

function moveOf(value: Value): Move {
  return value.attributes as Move;
}

function sliced<T>(value: Value, elements: ArrayLike<T>): T[] {
  const { axis, start, step } = moveOf(value);
  return moved(value, elements, (place) => place.with(axis, start + at(place, axis) * step));
}

function flipped<T>(value: Value, elements: ArrayLike<T>): T[] {
  const { axis } = moveOf(value);
  return moved(value, elements, (place) => place.with(axis, at(value.shape, axis) - 1 - at(place, axis)));
}

function padded<T>(value: Value, elements: ArrayLike<T>, fill: T): T[] {
  const { axis, before } = moveOf(value);
  return moved(value, elements, (place) => place.with(axis, at(place, axis) - before), fill);
}

/** Of elements at one place at most one is not 0. */
function joined<T>(inputs: readonly ArrayLike<T>[], isZero: (element: T) => boolean): T[] {
  return Array.from(
    at(inputs, 0),
    (first, index) => inputs.map((input) => at(input, index)).find((element) => !isZero(element)) ?? first,
  );
}

function isZeroPoint(x: Enclosure): boolean {
  return isPoint(x) && Object.is(x.lo, 0);
}

/** An axis of a value that has elements. */
function someAxis(maker: GraphMaker): { value: Value; axis: number; size: number } {
  const value = maker.notEmpty();
  const axis = maker.random.below(value.shape.length);
  return { value, axis, size: at(value.shape, axis) };
}

/** Twins of `src/graph/ops/movement/`. */
export const movementTwins: OpTwins = {
  slice: {
    evaluate: (value, inputs) => sliced(value, at(inputs, 0)),
    enclose: (value, inputs) => sliced(value, at(inputs, 0)),
    use(maker) {
      const { value, axis, size } = someAxis(maker);
      const start = maker.random.below(size);
      const end = start + maker.random.below(size - start + 1);
      return slice(value, { axis, start, end, step: maker.random.pick([1, 1, 2, 3]) });
    },
    cases: [
      opCase("slice", [f32([5, 4])], (a) => square(slice(a, { axis: 0, start: 1, end: -1 }))),
      opCase("slice with a step", [f32([3, 8])], (a) => square(slice(a, { axis: -1, start: 1, step: 3 }))),
      opCase(
        "slices of a transposed value",
        [f32([3, 4])],
        (a) => mul(slice(transpose(a), { start: 1 }), slice(transpose(a), { end: 3 })),
      ),
    ],
  },
  split: {
    use(maker) {
      const { value, axis, size } = someAxis(maker);
      return maker.random.pick(split(value, 1 + maker.random.below(size), { axis }));
    },
    cases: [
      opCase("split", [f32([3, 6])], (a) => {
        const [i, f, g] = split(a, [2, 2, 2], { axis: 1 });
        return i === undefined || f === undefined || g === undefined ? a : add(mul(i, square(f)), g);
      }),
    ],
  },
  pad: {
    evaluate: (value, inputs) => padded(value, at(inputs, 0), moveOf(value).fill),
    enclose: (value, inputs) => padded(value, at(inputs, 0), exactly(Math.fround(moveOf(value).fill))),
    use(maker) {
      const { value, axis, size } = someAxis(maker);
      const { random } = maker;
      const mode = random.pick(["constant", "constant", "reflect", "replicate"] as const);
      const most = mode === "reflect" ? size : 4;
      const padding = value.shape.map((_, of) =>
        of === axis ? [random.below(most), random.below(most)] as const : [0, 0] as const
      );
      return pad(value, padding, { mode, value: random.pick([0, 0, -1.5, Infinity]) });
    },
    cases: [
      opCase("pad", [f32([2, 3])], (a) => square(pad(a, [[1, 2], [0, 3]], { value: 0.5 }))),
      opCase("pad by reflection", [f32([2, 5])], (a) => square(pad(a, [[4, 2]], { mode: "reflect" }))),
      opCase(
        "pad by the edge",
        [f32([2, 3])],
        (a) => square(pad(a, [[1, 0], [2, 3]], { mode: "replicate" })),
      ),
      opCase(
        "slice of what was padded",
        [f32([4])],
        (a) => square(slice(pad(a, [[3, 3]]), { start: 1, step: 2 })),
      ),
      opCase(
        "flipped and padded twice",
        [f32([2, 3])],
        (a) => square(flip(pad(flip(pad(a, [[1, 1]])), [[1, 0], [0, 2]]))),
      ),
    ],
  },
  flip: {
    evaluate: (value, inputs) => flipped(value, at(inputs, 0)),
    enclose: (value, inputs) => flipped(value, at(inputs, 0)),
    use(maker) {
      const value = maker.f32();
      return flip(value, { axes: [...value.shape.keys()].filter(() => maker.random.chance(0.5)) });
    },
    cases: [opCase("flip", [f32([3, 4])], (a) => square(flip(a)))],
  },
  concat: {
    evaluate: (_value, inputs) => joined(inputs, (x) => x === 0),
    enclose: (_value, inputs) => joined(inputs, isZeroPoint),
    use(maker) {
      const { value, axis } = someAxis(maker);
      const other = maker.random.chance(0.5) ? mul(value, 2) : maker.leaf("f32", value.shape.with(axis, 3));
      const values = [value, other, ...maker.random.chance(0.2) ? Array<Value>(7).fill(value) : []];
      return concat(values, { axis });
    },
    cases: [
      opCase(
        "concat",
        [f32([2, 3]), f32([2, 1]), f32([2, 4])],
        (a, b, c) => square(concat([a, b, c, a], { axis: 1 })),
      ),
      opCase("concat of many", [f32([3, 2])], (a) => square(concat(Array<Value>(9).fill(a)))),
    ],
  },
  stack: {
    use(maker) {
      const value = maker.f32(({ shape }) => shape.length > 0 && shape.length < 3);
      return stack([value, add(value, 1)], { axis: maker.random.below(value.shape.length + 1) });
    },
    cases: [opCase("stack", [f32([2, 3]), f32([2, 3])], (a, b) => square(stack([a, b, a], { axis: -1 })))],
  },
  tile: {
    use: (maker) =>
      tile(maker.f32(({ shape }) => shape.length < 3), maker.random.pick([[2], [1, 3], [2, 2]])),
    cases: [opCase("tile", [f32([2, 3])], (a) => square(tile(a, [3, 1, 2])))],
  },
  expandDims: {
    use(maker) {
      const value = maker.f32();
      return add(expandDims(value, maker.random.below(value.shape.length + 1)), 1);
    },
    cases: [opCase("expandDims", [f32([3]), f32([2])], (a, b) => mul(expandDims(a, 1), b))],
  },
  squeeze: {
    use: (maker) => mul(squeeze(slice(maker.notEmpty(), { start: 0, end: 1 }), { axes: 0 }), 2),
    cases: [
      opCase(
        "a slice squeezed",
        [f32([3, 4])],
        (a) => square(squeeze(slice(a, { axis: 1, start: 2, end: 3 }))),
      ),
    ],
  },
};
