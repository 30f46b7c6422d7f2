import type { Value } from "../../graph/value.ts";
import type { Values } from "../../graph/values.ts";
import type { Loss } from "../losses/loss.ts";

/**
 * What is measured of a set of examples. A function is one for each example, shape `[batch]`, whose mean is reported;
 * every {@link Loss} is such a metric, and divides by its weights. What is no mean over examples is a
 * {@link SetMetric}.
 */
export type Metric<Out extends Values = Value, Labels extends Values = Value> =
  | SetMetric<string, Out, Labels>
  | Loss<Out, Labels>;

/**
 * A metric of a whole set: what is counted of a batch on the GPU, how what was counted of two parts is put together,
 * and what all of it says. Nothing of it depends on how the set is cut into batches, the last of which may be a
 * smaller one.
 *
 * @example
 * ```ts
 * // The largest error of all.
 * const largestError: nn.SetMetric<"largest"> = {
 *   count: (output, labels) => ({ largest: ops.max(ops.abs(ops.sub(output, labels))) }),
 *   merge: (a, b) => ({ largest: a.largest.map((error, at) => Math.max(error, b.largest[at] ?? NaN)) }),
 *   result: ({ largest }) => largest[0] ?? NaN,
 * };
 * ```
 */
export interface SetMetric<
  Part extends string = string,
  Out extends Values = Value,
  Labels extends Values = Value,
> {
  /**
   * Sums and counts of a batch, by name, computed on the GPU: f32, or u32 and i32 for what has to be exact. Their
   * shapes are the same for every size of a batch.
   */
  count(output: Out, labels: Labels): Readonly<Record<Part, Value>>;
  /**
   * What two parts of the set, the first one before the second, are together. Default: the sums, in float64: exact
   * for integers up to 2^53.
   */
  merge?(a: Totals<Part>, b: Totals<Part>): Totals<Part>;
  /** What the totals of the set say: a number, or a table with a row of numbers for each class. */
  result(totals: Totals<Part>): number | Table;
}

/** What was counted, by name: the elements of each value in order. */
export type Totals<Part extends string = string> = Readonly<Record<Part, Float64Array>>;

/** Rows of numbers. */
export type Table = readonly (readonly number[])[];

/** Whether a metric is of a whole set. */
export function isSetMetric<Out extends Values, Labels extends Values>(
  metric: Metric<Out, Labels>,
): metric is SetMetric<string, Out, Labels> {
  return typeof metric !== "function";
}

/** What two parts are together, where their sums say it. */
export function addTotals(a: Totals, b: Totals): Totals {
  const names = Object.keys(a);
  return Object.fromEntries(
    names.map((name) => [name, (a[name] ?? new Float64Array()).map((x, at) => x + (b[name]?.[at] ?? NaN))]),
  );
}
