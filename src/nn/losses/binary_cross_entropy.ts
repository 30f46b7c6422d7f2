import { describedAs } from "../../base/description.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { add, mul, neg, sub } from "../../graph/ops/arithmetic.ts";
import { cast } from "../../graph/ops/cast.ts";
import { softplus } from "../../graph/ops/elementary/exponentials.ts";
import { constant } from "../../graph/ops/sources.ts";
import { reshape } from "../../graph/ops/views.ts";
import type { Value } from "../../graph/value.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import { optionDescription } from "./describe_options.ts";
import { requireSameShape } from "./element_loss.ts";
import { isClassDType } from "./labels.ts";
import type { ExampleLoss } from "./loss.ts";
import { perExample } from "./rows.ts";
import { withoutUnweightedExamples } from "./unweighted_examples.ts";

/** Options of {@link binaryCrossEntropy}. */
export interface BinaryCrossEntropyOptions {
  /**
   * What the loss of a label of 1 is multiplied by, so that rare ones count more: one number, or one for each of the
   * last axis. Default 1.
   */
  readonly positiveWeight?: number | ArrayLike<number> | undefined;
}

/** Every option of {@link BinaryCrossEntropyOptions}. */
export const BINARY_CROSS_ENTROPY_OPTIONS: OptionNames<BinaryCrossEntropyOptions> = { positiveWeight: true };

/**
 * Cross-entropy of yes and no, of logits, as PyTorch's `BCEWithLogitsLoss`: the mean over an example of
 * `-positiveWeight y log σ(x) - (1 - y) log (1 - σ(x))`. Output `[batch, …]` f32, labels of the same shape from 0 to 1,
 * f32 or whole numbers.
 *
 * @throws RangeError for a weight that is no number from 0.
 */
export function binaryCrossEntropy(options: BinaryCrossEntropyOptions = {}): ExampleLoss {
  const { positiveWeight = 1 } = checkOptions(
    "binaryCrossEntropy()",
    options,
    BINARY_CROSS_ENTROPY_OPTIONS,
    "{ positiveWeight: 2 }",
  );
  const factors = Float32Array.from(typeof positiveWeight === "number" ? [positiveWeight] : positiveWeight);
  const wrong = factors.find((factor) => !(Number.isFinite(factor) && factor >= 0));
  if (wrong !== undefined) {
    throw new RangeError(`binaryCrossEntropy: positiveWeight is a number from 0, found ${wrong}`);
  }
  const loss: ExampleLoss = (output, labels, weights) => {
    const wanted = isClassDType(labels) ? cast(labels, "f32") : labels;
    requireSameShape("binaryCrossEntropy", output, wanted);
    const [logits, target] = withoutUnweightedExamples("binaryCrossEntropy", [output, wanted], weights);
    const positive = mul(mul(target, softplus(neg(logits))), positiveFactor(factors, output));
    // Each part by itself: PyTorch's form loses the small losses of confident outputs.
    const losses = add(positive, mul(sub(1, target), softplus(logits)));
    const range = { loss: "binaryCrossEntropy", least: 0, most: 1 };
    const rows = { losses: reshape(losses, [-1]), weights: undefined };
    return perExample("binaryCrossEntropy", rows, output.shape[0] ?? 0, weights, range);
  };
  return describedAs(loss, optionDescription("binaryCrossEntropy", options, { positiveWeight: 1 }));
}

function positiveFactor(factors: Float32Array, output: Value): number | Value {
  const [only = 1] = factors;
  if (factors.length === 1) return only;
  if (factors.length === output.shape.at(-1) && output.shape.length > 1) {
    return constant(HostTensor.from(factors, [factors.length]));
  }
  throw new TypeError(
    `binaryCrossEntropy: positiveWeight has ${factors.length} numbers, and the last axis of the output ` +
      `${output.shape.at(-1)}`,
  );
}
