import {
  softmaxCrossEntropy as launchCrossEntropy,
  softmaxCrossEntropyGradient,
} from "../../kernels/loss/softmax_cross_entropy.ts";
import { formatShape } from "../../tensor/shape.ts";
import { createValue, isResultOf } from "../create_value.ts";
import { type Binding, item, type OpDefinition, type Region } from "../op.ts";
import { sizeOf, type Value } from "../value.ts";
import { mul, sub } from "./arithmetic.ts";
import { ones } from "./fill.ts";
import { requireDType } from "./requirements.ts";
import { sum, sumTo } from "./sum.ts";
import { broadcastToOp, reshape } from "./views.ts";
import { weighted } from "./weighted.ts";

/**
 * Cross-entropy of `logits` `[rows, classes]`, `f32`, against `labels` `[rows]`, `u32` below `classes`: one loss a
 * row, `[rows]`, `f32`: `log Σ e^logit - logit[label]`. Take the mean over it for the usual loss. Rows are left out by a weight of 0,
 * with `weighted`: no gradient flows into them then, whatever their logits and labels are.
 */
export function softmaxCrossEntropy(logits: Value, labels: Value): Value {
  requireDType("softmaxCrossEntropy", logits, ["f32"]);
  requireDType("softmaxCrossEntropy", labels, ["u32"]);
  const [rows, classes] = logits.shape;
  if (
    logits.shape.length !== 2 || labels.shape.length !== 1 || labels.shape[0] !== rows || rows === undefined
  ) {
    throw new TypeError(
      `softmaxCrossEntropy: takes logits [rows, classes] and labels [rows], not ` +
        `${formatShape(logits.shape)} and ` +
        `${formatShape(labels.shape)}; reshape them`,
    );
  }
  if (classes === 0) {
    throw new TypeError(
      `softmaxCrossEntropy: logits of shape ${formatShape(logits.shape)} have no class to choose from`,
    );
  }
  return createValue(softmaxCrossEntropyOp, [logits, labels], {}, "f32", [rows]);
}

/** d loss = (softmax(logits) - one-hot(label)) d logits. The kernel has the softmax at hand and keeps it if asked. */
export const softmaxCrossEntropyOp: OpDefinition = {
  name: "softmaxCrossEntropy",
  indices: ({ inputs }) => [{ input: 1, below: item(item(inputs, 0).shape, 1) }],
  gradient(value, outGrad) {
    const logits = item(value.inputs, 0);
    const probabilities = createValue(crossEntropyProbabilitiesOp, [value, logits], {}, "f32", logits.shape);
    return [crossEntropyGradient(probabilities, item(value.inputs, 1), outGrad)];
  },
  lowering: {
    kind: "kernel",
    steps(value, context) {
      const logits = item(value.inputs, 0);
      const losses = context.regionOf(value);
      const probabilities = context.companionOf(value);
      const dispatch = launchCrossEntropy<Binding>(
        {
          logits: context.regionOf(logits),
          labels: context.regionOf(item(value.inputs, 1)),
          losses,
          probabilities,
        },
        { rows: item(logits.shape, 0), classes: item(logits.shape, 1) },
      );
      return [{ dispatch, writes: probabilities === undefined ? [losses] : [losses, probabilities] }];
    },
  },
};

/** The softmax that the kernel of the first input leaves behind. The second input is what it is a function of. */
export const crossEntropyProbabilitiesOp: OpDefinition = {
  name: "crossEntropyProbabilities",
  gradient(value, outGrad) {
    const terms = weighted(value, outGrad);
    return [undefined, sub(terms, weighted(value, sum(terms, { axes: 1, keepDims: true })))];
  },
  lowering: { kind: "companion" },
};

/** `(probabilities - one-hot(labels)) * scale`, with `scale` `[rows]` or one number. */
function crossEntropyGradient(probabilities: Value, labels: Value, scale: Value): Value {
  const repeated = isResultOf(broadcastToOp, scale) ? item(scale.inputs, 0) : scale;
  // The gradient of a mean is one number for every row: the kernel takes it as it is.
  if (sizeOf(repeated) === 1 && repeated !== scale) {
    return crossEntropyGradient(probabilities, labels, repeated);
  }
  return createValue(crossEntropyGradientOp, [probabilities, labels, scale], {}, "f32", probabilities.shape);
}

/** For gradients of gradients. */
export const crossEntropyGradientOp: OpDefinition = {
  name: "crossEntropyGradient",
  gradient(value, outGrad) {
    const [probabilities, labels, scale] = [
      item(value.inputs, 0),
      item(value.inputs, 1),
      item(value.inputs, 2),
    ];
    const perRow = sizeOf(scale) === 1 ? reshape(scale, [1, 1]) : reshape(scale, [-1, 1]);
    const unscaled = crossEntropyGradient(probabilities, labels, ones([]));
    return [
      mul(outGrad, perRow),
      undefined,
      reshape(sumTo(mul(outGrad, unscaled), perRow.shape), scale.shape),
    ];
  },
  lowering: {
    kind: "kernel",
    steps(value, context) {
      const out = context.regionOf(value);
      const inputAt = (index: number): Region => context.regionOf(item(value.inputs, index));
      const bindings = { probabilities: inputAt(0), labels: inputAt(1), scale: inputAt(2), out };
      const dispatch = softmaxCrossEntropyGradient<Binding>(bindings, {
        rows: item(value.shape, 0),
        classes: item(value.shape, 1),
        scale: sizeOf(item(value.inputs, 2)) === 1 ? "scalar" : "row",
      });
      return [{ dispatch, writes: [out] }];
    },
  },
};
