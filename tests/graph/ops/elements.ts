import { sizeOf, type Value } from "../../../src/graph/value.ts";
import type { Shape } from "../../../src/tensor/shape.ts";

// Where the elements of tensors are, for the twins of ops. It shares nothing with the library.

/** `list[index]`, which has to be there. */
export function at<T>(list: ArrayLike<T> | undefined, index: number): T {
  const found = list?.[index];
  if (found === undefined) throw new Error(`The twin misses element ${index} of ${list?.length}`);
  return found;
}

/** Applies `compute` to the elements of the inputs that belong to each element of `value`, by NumPy's rule. */
export function broadcast<T>(
  value: Value,
  inputs: readonly ArrayLike<T>[],
  compute: (elements: readonly T[]) => T,
): T[] {
  const offsets = value.inputs.map(({ shape }) =>
    offsetsOf(value.shape, broadcastStrides(shape, value.shape))
  );
  return Array.from(
    { length: sizeOf(value) },
    (_, index) => compute(inputs.map((input, which) => at(input, at(offsets[which], index)))),
  );
}

/** The elements that are reduced into each element of `value`, whose axes have size 1 where they were reduced. */
export function groupsOf<T>(value: Value, elements: ArrayLike<T>): T[][] {
  const { shape } = at(value.inputs, 0);
  const groups = Array.from({ length: sizeOf(value) }, (): T[] => []);
  offsetsOf(shape, broadcastStrides(value.shape, shape)).forEach((group, index) =>
    at(groups, group).push(at(elements, index))
  );
  return groups;
}

/** The rows of a matrix with as many as `value` has. */
export function rowsOf<T>(value: Value, elements: ArrayLike<T>): T[][] {
  const [rows = 0] = value.shape;
  const width = elements.length / Math.max(rows, 1);
  return Array.from(
    { length: rows },
    (_, row) => Array.from({ length: width }, (_, column) => at(elements, row * width + column)),
  );
}

/** The elements of a transposed `value`. */
export function transposed<T>(value: Value, elements: ArrayLike<T>): T[] {
  const { permutation } = value.attributes as { permutation: readonly number[] };
  const own = stridesOf(at(value.inputs, 0).shape);
  return offsetsOf(value.shape, permutation.map((axis) => at(own, axis))).map((offset) =>
    at(elements, offset)
  );
}

/**
 * The elements of the first input of `value` that `place` names for each place of `value`, both as coordinates;
 * `fill` where it names none.
 */
export function moved<T>(
  value: Value,
  elements: ArrayLike<T>,
  place: (coordinates: readonly number[]) => readonly number[] | undefined,
  fill?: T,
): T[] {
  const { shape } = at(value.inputs, 0);
  const strides = stridesOf(shape);
  return placesOf(value.shape).map((coordinates) => {
    const source = place(coordinates);
    if (source !== undefined && source.every((x, axis) => x >= 0 && x < at(shape, axis))) {
      return at(elements, source.reduce((offset, x, axis) => offset + x * at(strides, axis), 0));
    }
    if (fill === undefined) throw new Error(`${value.op} reads outside of its input`);
    return fill;
  });
}

/** Computes each row of `value` along an axis from the rows of the inputs, which have its shape. */
export function alongRows<T>(
  value: Value,
  axis: number,
  inputs: readonly ArrayLike<T>[],
  compute: (rows: readonly T[][]) => readonly T[],
): T[] {
  const strides = stridesOf(value.shape);
  const size = at(value.shape, axis);
  const firsts = size === 0 ? [] : offsetsOf(value.shape.with(axis, 1), strides);
  const results: T[] = [];
  for (const first of firsts) {
    const offsets = Array.from({ length: size }, (_, step) => first + step * at(strides, axis));
    const rows = inputs.map((input) => offsets.map((offset) => at(input, offset)));
    compute(rows).forEach((result, step) => results[at(offsets, step)] = result);
  }
  return results;
}

/** The coordinates of all elements of a tensor of `shape`, in row-major order. */
export function placesOf(shape: Shape): number[][] {
  let places: number[][] = [[]];
  for (const size of shape) {
    places = places.flatMap((place) => Array.from({ length: size }, (_, x) => [...place, x]));
  }
  return places;
}

/** Element strides of a tensor of `shape` along the axes of `target`, 0 where it repeats. */
function broadcastStrides(shape: Shape, target: Shape): number[] {
  const own = stridesOf(shape);
  const added = target.length - shape.length;
  return target.map((_, axis) => axis < added || shape[axis - added] === 1 ? 0 : own[axis - added] ?? 0);
}

function stridesOf(shape: Shape): number[] {
  return shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
}

/** Where each element of a tensor of `shape` is, in one with `strides`. */
function offsetsOf(shape: Shape, strides: readonly number[]): number[] {
  let offsets = [0];
  shape.forEach((size, axis) => {
    const steps = Array.from({ length: size }, (_, step) => step * (strides[axis] ?? 0));
    offsets = offsets.flatMap((offset) => steps.map((step) => offset + step));
  });
  return offsets;
}
