import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { constant } from "../../graph/ops/sources.ts";
import { sum } from "../../graph/ops/sum.ts";
import { crossEntropy } from "../losses/cross_entropy.ts";
import { countedLosses } from "../losses/loss.ts";
import type { SetMetric } from "./metric.ts";

/** Options of {@link perplexity}. */
export interface PerplexityOptions {
  /** The label that stands for none and is not counted. Default -100 among i32, and none among others. */
  readonly ignoreIndex?: number | undefined;
}

/** Every option of {@link PerplexityOptions}. */
export const PERPLEXITY_OPTIONS: OptionNames<PerplexityOptions> = { ignoreIndex: true };

/**
 * The exponential of the mean cross-entropy: among how many equally likely classes the model chooses. Output `[batch,
 * …, classes]` f32, logits; labels `[batch, …]` of classes.
 */
export function perplexity(options: PerplexityOptions = {}): SetMetric<"losses" | "count"> {
  checkOptions("perplexity()", options, PERPLEXITY_OPTIONS, "{ ignoreIndex: -100 }");
  const loss = crossEntropy(options);
  return {
    count(output, labels) {
      const [batch = 0] = output.shape;
      const [term] = countedLosses(loss(output, labels), batch, "The perplexity");
      if (term === undefined) throw new TypeError("A perplexity is of one loss");
      const count = term.weight === undefined ? constant(batch, "u32") : sum(term.weight);
      return { losses: sum(term.value), count };
    },
    result: ({ losses, count }) => Math.exp((losses[0] ?? NaN) / (count[0] ?? NaN)),
  };
}
