import { square, sub } from "../../graph/ops/arithmetic.ts";
import { mean } from "../../graph/ops/reduce.ts";
import { reshape } from "../../graph/ops/views.ts";
import { weighted, withoutUnweighted } from "../../graph/ops/weighted.ts";
import { elementCount, formatShape, shapesEqual } from "../../tensor/shape.ts";
import { describedAs } from "../../base/description.ts";
import { type ExampleLoss, requireWeights } from "./loss.ts";

/** Mean squared error of each example: output and labels are f32 of one shape `[batch, …]`. */
export function mse(): ExampleLoss {
  const loss: ExampleLoss = (output, labels, weights) => {
    const [batch = 0, ...rest] = output.shape;
    if (output.dtype !== labels.dtype || !shapesEqual(output.shape, labels.shape)) {
      const [found, expected] = [output, labels].map(({ dtype, shape }) => `${dtype} ${formatShape(shape)}`);
      throw new TypeError(
        `mse: output and labels have one shape and dtype, found ${found} and ${expected}; ` +
          `labels of one number an example are a tensor of shape [examples, 1]`,
      );
    }
    const differences = reshape(sub(output, labels), [batch, elementCount(rest)]);
    if (weights === undefined) return { value: mean(square(differences), { axes: [1] }) };
    const perRow = reshape(requireWeights("mse", weights, batch), [batch, 1]);
    // Before they are squared: the gradient of a square multiplies by what was squared.
    const counted = withoutUnweighted(differences, perRow);
    const value = weighted(mean(square(counted), { axes: [1] }), weights);
    return { value, weight: weights, isMasked: true };
  };
  return describedAs(loss, { name: "mse" });
}
