import { mul } from "../../graph/ops/arithmetic.ts";
import { mean } from "../../graph/ops/reduce.ts";
import { sum } from "../../graph/ops/sum.ts";
import { reshape } from "../../graph/ops/views.ts";
import { weighted, withoutUnweighted } from "../../graph/ops/weighted.ts";
import type { Value } from "../../graph/value.ts";
import type { ExampleLosses, LabelRange } from "./loss.ts";
import { requireWeights } from "./loss.ts";

/** The losses of the rows of a batch, such as the positions of its sequences. */
export interface RowLosses {
  /** `[rows]`, f32, with the weight of the row in it. */
  readonly losses: Value;
  /** `[rows]`, f32; `undefined` where each row weighs 1. */
  readonly weights: Value | undefined;
}

/**
 * Value and weight of each of `batch` examples, of which each has as many of the rows. Where every row weighs 1, the
 * value is their mean: the same divided by the same.
 *
 * @param exampleWeights What the examples themselves are weighted by, if anything.
 */
export function perExample(
  loss: string,
  { losses, weights }: RowLosses,
  batch: number,
  exampleWeights: Value | undefined,
  labels?: LabelRange,
): ExampleLosses {
  const own = weights === undefined
    ? { value: meanOfRows(losses, batch), weight: undefined }
    : { value: sumOfRows(withoutUnweighted(losses, weights), batch), weight: sumOfRows(weights, batch) };
  const isMasked = true;
  if (exampleWeights === undefined) return { ...own, labels, isMasked };
  const factor = requireWeights(loss, exampleWeights, batch);
  const weight = own.weight === undefined ? factor : mul(own.weight, factor);
  return { value: weighted(own.value, factor), weight, labels, isMasked };
}

function meanOfRows(rows: Value, batch: number): Value {
  return mean(reshape(rows, [batch, -1]), { axes: 1 });
}

function sumOfRows(rows: Value, batch: number): Value {
  return sum(reshape(rows, [batch, -1]), { axes: 1 });
}
