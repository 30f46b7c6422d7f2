import { describedAs } from "../../base/description.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { mul, sub } from "../../graph/ops/arithmetic.ts";
import { equal, where } from "../../graph/ops/comparison.ts";
import { sum } from "../../graph/ops/sum.ts";
import { exp, log } from "../../graph/ops/transcendental.ts";
import { reshape } from "../../graph/ops/views.ts";
import type { Value } from "../../graph/value.ts";
import { optionDescription } from "./describe_options.ts";
import { requireSameShape } from "./element_loss.ts";
import type { ExampleLoss } from "./loss.ts";
import { perExample } from "./rows.ts";
import { withoutUnweightedExamples } from "./unweighted_examples.ts";

/** Options of {@link klDivergence}. */
export interface KlDivergenceOptions {
  /** Whether the labels are logarithms of probabilities, too. Default false. */
  readonly logTarget?: boolean | undefined;
}

/** Every option of {@link KlDivergenceOptions}. */
export const KL_DIVERGENCE_OPTIONS: OptionNames<KlDivergenceOptions> = { logTarget: true };

/**
 * Kullback-Leibler divergence `Σ y (log y - x)` of the last axis; of several such in an example, the mean. Output `x`
 * `[batch, …, classes]` f32 are logarithms of probabilities, such as `logSoftmax` gives; labels `y` of the same shape
 * are probabilities. What PyTorch's `KLDivLoss` calls the reduction "batchmean".
 */
export function klDivergence(options: KlDivergenceOptions = {}): ExampleLoss {
  const { logTarget = false } = checkOptions(
    "klDivergence()",
    options,
    KL_DIVERGENCE_OPTIONS,
    "{ logTarget: true }",
  );
  const loss: ExampleLoss = (output, labels, weights) => {
    requireSameShape("klDivergence", output, labels);
    const [logarithms, target] = withoutUnweightedExamples("klDivergence", [output, labels], weights);
    const terms = logTarget
      ? mul(exp(target), sub(target, logarithms))
      : termsOfProbabilities(logarithms, target);
    const rows = { losses: reshape(sum(terms, { axes: -1 }), [-1]), weights: undefined };
    const range = logTarget ? undefined : { loss: "klDivergence", least: 0, most: Infinity };
    return perExample("klDivergence", rows, output.shape[0] ?? 0, weights, range);
  };
  return describedAs(loss, optionDescription("klDivergence", options, { logTarget: false }));
}

/** A probability of 0 costs nothing, whatever the output is there. */
function termsOfProbabilities(logarithms: Value, target: Value): Value {
  const isImpossible = equal(target, 0);
  const known = where(isImpossible, 1, target);
  return mul(target, sub(log(known), where(isImpossible, 0, logarithms)));
}
