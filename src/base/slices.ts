import { nextTurn } from "./event_loop.ts";

/**
 * Long work that yields after each slice of at most about a millisecond, in which it touches a bounded number of
 * values. It uses neither a clock nor the event loop: {@link inSlices} lets the event loop run in between,
 * {@link atOnce} does not.
 */
export type Sliced<Result> = Generator<void, Result, void>;

/** Values in a slice: half a millisecond where each takes 0.5 µs. */
const UNITS_PER_SLICE = 1000;

/** Counts what a slice has done: `if (slice.isOver()) yield;` after each value. */
export class Slice {
  #left = UNITS_PER_SLICE;

  /** Whether it is time to yield, now that so many more values are done. The next slice then begins. */
  isOver(units = 1): boolean {
    this.#left -= units;
    if (this.#left > 0) return false;
    this.#left = UNITS_PER_SLICE;
    return true;
  }
}

/** Does the work with a turn of the event loop between two slices. What it reads may not change meanwhile. */
export async function inSlices<Result>(work: Sliced<Result>): Promise<Result> {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
    await nextTurn();
  }
}

/** Does the work in one go. */
export function atOnce<Result>(work: Sliced<Result>): Result {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}
