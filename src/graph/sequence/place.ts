import { elementCount, type Shape } from "../../tensor/shape.ts";
import { item } from "../op.ts";
import type { Value } from "../value.ts";

/**
 * Where the positions of a sequence are in a value: its index along `axis`, divided by `within`, modulo their number.
 * So `[batch, positions, width]` has them at `{ axis: 1, within: 1 }`, and `[batch * positions, width]` at axis 0.
 */
export interface SequencePlace {
  readonly axis: number;
  readonly within: number;
}

/** What is asked of a program. */
export interface SequenceQuestion {
  /** How many positions there are: at least 2, so that they can be told from an axis of size 1. */
  readonly count: number;
  /** Inputs that are about the positions, with their axis. */
  readonly inputs: ReadonlyMap<Value, number>;
  /**
   * Whether the positions are a sequence from its beginning. Then ops may look back, and constants may differ from
   * position to position. Otherwise only those may look back that go on from what was kept of the positions before.
   */
  readonly isWhole: boolean;
  /** States over time that go on from what was kept. */
  readonly continued?: ReadonlySet<Value>;
}

/** Elements between neighbouring positions of a sequence that is at `place` of a row-major tensor of `shape`. */
export function strideOf(shape: Shape, { axis, within }: SequencePlace): number {
  return within * elementCount(shape.slice(axis + 1));
}

/**
 * Where `count` positions are in a tensor of `shape` whose neighbours are `stride` elements apart; `undefined` where no
 * one axis has them.
 */
export function placeAt(shape: Shape, stride: number, count: number): SequencePlace | undefined {
  for (let axis = shape.length - 1, step = 1; axis >= 0; step *= item(shape, axis), axis--) {
    const size = item(shape, axis);
    const within = stride / step;
    if (Number.isInteger(within) && size % (within * count) === 0 && size > 1) return { axis, within };
  }
  return undefined;
}
