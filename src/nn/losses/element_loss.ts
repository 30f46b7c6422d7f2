import { describedAs, type Description } from "../../base/description.ts";
import { sub } from "../../graph/ops/arithmetic.ts";
import { mean } from "../../graph/ops/reduce.ts";
import { reshape } from "../../graph/ops/views.ts";
import { weighted, withoutUnweighted } from "../../graph/ops/weighted.ts";
import type { Value } from "../../graph/value.ts";
import { elementCount, formatShape, shapesEqual } from "../../tensor/shape.ts";
import { type ExampleLoss, requireWeights } from "./loss.ts";

/** TypeError unless output and labels are f32 of one shape `[batch, …]`. */
export function requireSameShape(loss: string, output: Value, labels: Value): void {
  if (output.dtype === "f32" && labels.dtype === "f32" && shapesEqual(output.shape, labels.shape)) return;
  const [found, expected] = [output, labels].map(({ dtype, shape }) => `${dtype} ${formatShape(shape)}`);
  throw new TypeError(
    `${loss}: output and labels are f32 of one shape, found ${found} and ${expected}; ` +
      `labels of one number an example are a tensor of shape [examples, 1]`,
  );
}

/**
 * A loss that is the mean, over the numbers of an example, of what each difference of output and label costs. Both are
 * f32 of one shape `[batch, …]`.
 */
export function differenceLoss(description: Description, costOf: (difference: Value) => Value): ExampleLoss {
  const { name } = description;
  const loss: ExampleLoss = (output, labels, weights) => {
    requireSameShape(name, output, labels);
    const [batch = 0, ...rest] = output.shape;
    const differences = reshape(sub(output, labels), [batch, elementCount(rest)]);
    if (weights === undefined) return { value: mean(costOf(differences), { axes: [1] }) };
    const perRow = reshape(requireWeights(name, weights, batch), [batch, 1]);
    // Before what they cost: the gradient of a square multiplies by what was squared.
    const counted = withoutUnweighted(differences, perRow);
    const value = weighted(mean(costOf(counted), { axes: [1] }), weights);
    return { value, weight: weights, isMasked: true };
  };
  return describedAs(loss, description);
}
