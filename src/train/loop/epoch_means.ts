import type { KeptTerms } from "../step/kept_terms.ts";
import type { BatchOrder } from "./batch_order.ts";
import type { TrainingHistory } from "./history.ts";

/**
 * Means over the examples of the steps from `from` up to and without `to`: `loss`, and each term by its name. A term
 * counts each step by the weights of its examples, a regulariser each step alike.
 */
export function epochMeans(
  history: TrainingHistory,
  { terms, regularizers, others }: KeptTerms,
  from: number,
  to: number,
  order: Pick<BatchOrder, "sizes" | "sizeOf">,
): Record<string, number> {
  // Where all batches have one size, the mean of the steps' losses, bit for bit.
  const sizeOf = (step: number): number => order.sizes.length === 1 ? 1 : order.sizeOf(step);
  const means: Record<string, number> = { loss: 0 };
  const count = (name: string | undefined, factor: number, weightOf: (step: number) => number): void => {
    const mean = history.mean(name, from, to, weightOf);
    if (name !== undefined) means[name] = mean;
    means.loss = (means.loss ?? 0) + factor * mean;
  };
  for (const { name, factor, weights } of terms) {
    count(name, factor, weights === undefined ? sizeOf : (step) => history.at(weights, step));
  }
  for (const name of regularizers) count(name, 1, () => 1);
  for (const name of others) means[name] = history.mean(name, from, to, () => 1);
  return means;
}
