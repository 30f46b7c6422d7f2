/** A figure that is to hold. */
export interface UseRow {
  readonly name: string;
  readonly measured: number;
  /** What `measured` is at most, or at least. */
  readonly target: number;
  readonly bound: "at most" | "at least";
  /** How far apart the quartiles of the rounds are, as a part of the median. */
  readonly spread: number;
  /** What was timed, for people: `"rollback 21.3 ms, copy 20.1 ms"`. */
  readonly detail: string;
}

/** What every row is given. */
export interface RowOptions {
  /** How often each contender is timed. */
  readonly rounds: number;
}

/** Measures one or several figures that belong together. */
export type MeasureRows = (options: RowOptions) => Promise<UseRow[]>;
