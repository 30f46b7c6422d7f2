import { add } from "../../graph/ops/arithmetic.ts";
import { reshape } from "../../graph/ops/views.ts";
import type { Value } from "../../graph/value.ts";
import { elementCount, type Shape } from "../../tensor/shape.ts";
import { uniform } from "../initializers.ts";
import { type Layer, layer } from "../layer.ts";
import type { LinearOptions } from "./linear.ts";
import { requireInput } from "./require_input.ts";

/** What the layers of convolutions differ in. */
export interface ConvolutionKind {
  /** How it was made, for messages. */
  readonly name: string;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly weightShape: Shape;
  readonly convolve: (x: Value, weight: Value) => Value;
}

/**
 * A convolution with a bias a channel. Both begin uniform within ± 1 / sqrt(fanIn), as in PyTorch: for the weights
 * that is He's bound with the slope sqrt(5). The fan-in is an output's in PyTorch's sense: the product of all sizes of
 * the weights but the first.
 */
export function convolutionLayer(kind: ConvolutionKind, options: LinearOptions): Layer {
  const { name, inChannels, outChannels, weightShape, convolve } = kind;
  const bound = 1 / Math.sqrt(elementCount(weightShape.slice(1)));
  const {
    bias = true,
    weightInitializer = uniform(-bound, bound),
    biasInitializer = uniform(-bound, bound),
  } = options;
  const kernelAxes = weightShape.slice(2);
  const axes = ["batch", inChannels, ...kernelAxes.length === 1 ? ["length"] : ["rows", "columns"]];
  return layer((x, scope) => {
    requireInput(name, scope, x, axes);
    const weight = scope.parameter("weight", weightShape, weightInitializer);
    const result = convolve(x, weight);
    if (!bias) return result;
    const added = scope.parameter("bias", [outChannels], biasInitializer);
    return add(result, reshape(added, [outChannels, ...kernelAxes.map(() => 1)]));
  }, name);
}

/** `channels` in each of so many groups; a `RangeError` where they cannot be shared out. */
export function channelsOfGroup(name: string, channels: number, groups: number): number {
  if (Number.isSafeInteger(groups) && groups >= 1 && channels % groups === 0) return channels / groups;
  throw new RangeError(
    `${name}: the number of groups divides that of channels, found ${groups} for ${channels}`,
  );
}
