import { reshape } from "../../graph/ops/views.ts";
import { withoutUnweighted } from "../../graph/ops/weighted.ts";
import type { Value } from "../../graph/value.ts";
import { requireWeights } from "./loss.ts";

/**
 * `values`, each `[batch, …]`, with 0 in the examples of weight 0: whatever a loss then computes of them is a number,
 * and so is its gradient. As they are where there are no weights.
 */
export function withoutUnweightedExamples<T extends readonly Value[]>(
  loss: string,
  values: readonly [...T],
  weights: Value | undefined,
): { [K in keyof T]: Value } {
  if (weights === undefined) return values.slice() as { [K in keyof T]: Value };
  const masked = values.map((value) => {
    const [batch = 0, ...rest] = value.shape;
    const perExample = reshape(requireWeights(loss, weights, batch), [batch, ...rest.map(() => 1)]);
    return withoutUnweighted(value, perExample);
  });
  return masked as { [K in keyof T]: Value };
}
