import { formatShape } from "../../tensor/shape.ts";
import { item, type OpDefinition } from "../op.ts";
import { createValue, type Value } from "../value.ts";
import { mul, sub } from "./arithmetic.ts";
import { ones } from "./fill.ts";
import { requireDType } from "./requirements.ts";
import { sum } from "./sum.ts";
import { reshape } from "./views.ts";

/**
 * Cross-entropy of `logits` `[rows, classes]`, `f32`, against `labels` `[rows]`, `u32` below `classes`: one loss a
 * row, `[rows]`, `f32`: `log Σ e^logit - logit[label]`. Take the mean over it for the usual loss.
 */
export function softmaxCrossEntropy(logits: Value, labels: Value): Value {
  requireDType("softmaxCrossEntropy", logits, ["f32"]);
  requireDType("softmaxCrossEntropy", labels, ["u32"]);
  const [rows, classes] = logits.shape;
  if (
    logits.shape.length !== 2 || labels.shape.length !== 1 || labels.shape[0] !== rows || rows === undefined
  ) {
    throw new TypeError(
      `softmaxCrossEntropy: takes logits [rows, classes] and labels [rows], not ${
        formatShape(logits.shape)
      } and ` +
        `${formatShape(labels.shape)}; reshape them`,
    );
  }
  if (classes === 0) {
    throw new TypeError(
      `softmaxCrossEntropy: logits of shape ${formatShape(logits.shape)} have no class to choose from`,
    );
  }
  return createValue("softmaxCrossEntropy", [logits, labels], {}, "f32", [rows]);
}

/** d loss = (softmax(logits) - one-hot(label)) d logits. The kernel has the softmax at hand and keeps it. */
export const softmaxCrossEntropyOp: OpDefinition = {
  name: "softmaxCrossEntropy",
  gradient(value, outGrad) {
    const logits = item(value.inputs, 0);
    const probabilities = createValue("crossEntropyProbabilities", [value, logits], {}, "f32", logits.shape);
    return [crossEntropyGradient(probabilities, item(value.inputs, 1), outGrad)];
  },
  lowering: { kind: "kernel", steps: () => [] },
};

/** The softmax that the kernel of the first input leaves behind. The second input is what it is a function of. */
export const crossEntropyProbabilitiesOp: OpDefinition = {
  name: "crossEntropyProbabilities",
  gradient(value, outGrad) {
    const weighted = mul(outGrad, value);
    return [undefined, sub(weighted, mul(value, sum(weighted, { axes: 1, keepDims: true })))];
  },
  lowering: { kind: "companion" },
};

/** `(probabilities - one-hot(labels)) * scale`, with `scale` `[rows]`. */
function crossEntropyGradient(probabilities: Value, labels: Value, scale: Value): Value {
  return createValue("crossEntropyGradient", [probabilities, labels, scale], {}, "f32", probabilities.shape);
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
    const unscaled = crossEntropyGradient(probabilities, labels, ones(scale.shape));
    return [
      mul(outGrad, reshape(scale, [...scale.shape, 1])),
      undefined,
      sum(mul(outGrad, unscaled), { axes: 1 }),
    ];
  },
  lowering: { kind: "kernel", steps: () => [] },
};
