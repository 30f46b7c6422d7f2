import { checkedMultiply } from "../base/checked.ts";
import { MAX_RANK } from "../container/format/layout.ts";

/** Sizes of a tensor's dimensions, outermost first. `[]` is a scalar; a 0 makes a tensor without elements. */
export type Shape = readonly number[];

/**
 * Checks that `shape` has at most 8 dimensions, each a safe integer that is not negative.
 * @throws TypeError or RangeError that names `what` and the dimension.
 */
export function validateShape(shape: Shape, what: string = "shape"): void {
  if (!Array.isArray(shape)) {
    throw new TypeError(`${what} is ${String(shape)}, expected an array of dimensions`);
  }
  if (shape.length > MAX_RANK) {
    throw new RangeError(
      `${what} ${formatShape(shape)} has ${shape.length} dimensions; ${MAX_RANK} is the most`,
    );
  }
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new RangeError(
        `${what} ${formatShape(shape)}: ${size} is no dimension, expected an integer from 0`,
      );
    }
  }
}

/** How many elements a tensor of `shape` has; 1 for a scalar. A `RangeError` when that is no safe integer. */
export function elementCount(shape: Shape): number {
  let count = 1;
  // A zero makes the tensor empty, but must not hide sizes whose product would overflow.
  for (const size of shape) count = checkedMultiply(count, Math.max(size, 1));
  return shape.includes(0) ? 0 : count;
}

/** Whether two shapes have the same dimensions. */
export function shapesEqual(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}

/**
 * The shape that both broadcast to, by NumPy's rule: dimensions are aligned at the end, and a 1 stretches.
 * @throws TypeError with both shapes when they do not fit.
 */
export function broadcastShapes(a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const fromA = a[i - rank + a.length] ?? 1;
    const fromB = b[i - rank + b.length] ?? 1;
    if (fromA === fromB || fromB === 1) return fromA;
    if (fromA === 1) return fromB;
    throw new TypeError(
      `Shapes ${formatShape(a)} and ${
        formatShape(b)
      } do not broadcast: dimension ${i} is ${fromA} in one and ${fromB} in the other`,
    );
  });
}

/** For messages: "[64, 784]". */
export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}
