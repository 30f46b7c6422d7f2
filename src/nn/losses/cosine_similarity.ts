import { describedAs } from "../../base/description.ts";
import { div, mul, square, sub } from "../../graph/ops/arithmetic.ts";
import { less, where } from "../../graph/ops/comparison.ts";
import { sum } from "../../graph/ops/sum.ts";
import { sqrt } from "../../graph/ops/transcendental.ts";
import { reshape } from "../../graph/ops/views.ts";
import type { Value } from "../../graph/value.ts";
import { requireSameShape } from "./element_loss.ts";
import type { ExampleLoss } from "./loss.ts";
import { perExample } from "./rows.ts";
import { withoutUnweightedExamples } from "./unweighted_examples.ts";

/** The square of the least product of two lengths that have an angle: PyTorch's 1e-8. */
const LEAST_SQUARE = 1e-16;

/**
 * `1 - cos` of the angle between output and label along the last axis, from 0 to 2 (PyTorch's `CosineEmbeddingLoss` of
 * pairs that belong together); of several such in an example, the mean. Both are f32 of one shape `[batch, …,
 * features]`. The loss of a zero is 1, without a gradient.
 */
export function cosineSimilarity(): ExampleLoss {
  const loss: ExampleLoss = (output, labels, weights) => {
    requireSameShape("cosineSimilarity", output, labels);
    const [a, b] = withoutUnweightedExamples("cosineSimilarity", [output, labels], weights);
    const along = (value: Value): Value => sum(value, { axes: -1 });
    const product = mul(along(square(a)), along(square(b)));
    const isShort = less(product, LEAST_SQUARE);
    // Where there is no direction there is no angle. Dividing by a least length instead gives gradients of 1e8.
    const cosine = where(isShort, 0, div(along(mul(a, b)), sqrt(where(isShort, 1, product))));
    const losses = sub(1, cosine);
    const rows = { losses: reshape(losses, [-1]), weights: undefined };
    return perExample("cosineSimilarity", rows, output.shape[0] ?? 0, weights);
  };
  return describedAs(loss, { name: "cosineSimilarity" });
}
