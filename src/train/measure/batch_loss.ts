import { add, div, mul } from "../../graph/ops/arithmetic.ts";
import { equal, where } from "../../graph/ops/comparison.ts";
import { mean } from "../../graph/ops/reduce.ts";
import { sum } from "../../graph/ops/sum.ts";
import type { Value } from "../../graph/value.ts";
import { valueParts, type Values } from "../../graph/values.ts";
import { type CountedLosses, countedLosses, type Loss } from "../../nn/losses/loss.ts";
import type { Like, Named } from "../../base/parts/named.ts";
import type { ExampleSpec } from "../../data/batch_source.ts";
import { batchInputs } from "../../nn/model.ts";
import { maskedTerms } from "../../nn/losses/masked_loss.ts";

/** What a loss gives for a batch, before anything is divided: the sums of micro-batches and shards can be added up. */
export interface BatchTerm extends CountedLosses {
  readonly batchSize: number;
}

/**
 * The terms of `loss` for a batch, through which no gradient reaches an example that does not count.
 *
 * @param what Whose losses they are, for messages.
 */
export function batchTerms<Out extends Values, Labels extends Values>(
  loss: Loss<Out, Labels>,
  output: Out,
  labels: Labels,
  batchSize: number,
  what: string = "The loss",
): BatchTerm[] {
  const terms = maskedTerms(output, (gate) => countedLosses(loss(gate, labels), batchSize, what));
  return terms.map((term) => ({ ...term, batchSize }));
}

/** The labels of a batch of `size` examples as a graph value named "labels", or several each `labels.name`. */
export function labelsOf<T extends Named<ExampleSpec>>(
  source: { readonly labels: T },
  size: number,
): Like<T, ExampleSpec, Value> {
  return batchInputs("labels", source.labels, size);
}

/** How many examples `labels` are of. */
export function examplesOf(labels: Values): number {
  const [first] = Object.values(valueParts("labels", labels));
  return first?.shape[0] ?? 0;
}

/** The sum of the values of a batch, f32 `[]`. */
export function sumOfValues({ value }: BatchTerm): Value {
  return sum(value);
}

/** The sum of the weights of a batch: a number where every example weighs 1. */
export function sumOfWeights({ weight, batchSize }: BatchTerm): Value | number {
  return weight === undefined ? batchSize : sum(weight);
}

/**
 * The sum of the values divided by that of the weights, f32 `[]`; 0, with gradient 0, where no example counts. The
 * weights are summed on the GPU, in a fixed order, as part of the step.
 */
export function meanOfTerm(term: BatchTerm): Value {
  // The same bits as dividing by the number of examples, and one dispatch less.
  if (term.weight === undefined) return mean(term.value);
  const weight = sum(term.weight);
  return div(sumOfValues(term), where(equal(weight, 0), 1, weight));
}

/** The sum of means of terms, each times its factor. */
export function weightedSum(means: readonly { readonly mean: Value; readonly factor: number }[]): Value {
  const terms = means.map(({ mean, factor }) => factor === 1 ? mean : mul(mean, factor));
  return terms.reduce((total, term) => add(total, term));
}
