import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import type { ConvolutionPadding } from "../../graph/ops/spatial/convolution_options.ts";
import type { RowsColumns } from "../../graph/ops/spatial/window.ts";
import { type Layer, layer } from "../layer.ts";
import { namedConv2d } from "./conv.ts";
import { LINEAR_OPTIONS, type LinearOptions } from "./linear.ts";

/** Options of {@link depthwiseConv2d} and {@link separableConv2d}. */
export interface DepthwiseConv2dOptions extends LinearOptions {
  /** Default 1. */
  readonly stride?: RowsColumns | undefined;
  /** Default 0. */
  readonly padding?: ConvolutionPadding | undefined;
  /** Default 1. */
  readonly dilation?: RowsColumns | undefined;
}

/** Every option of {@link DepthwiseConv2dOptions}. */
export const DEPTHWISE_CONV2D_OPTIONS: OptionNames<DepthwiseConv2dOptions> = {
  ...LINEAR_OPTIONS,
  stride: true,
  padding: true,
  dilation: true,
};

/** `conv2d` of each channel by itself, which is as many groups as channels: `weight` is `[channels, 1, …]`. */
export function depthwiseConv2d(
  channels: number,
  kernelSize: RowsColumns,
  options: DepthwiseConv2dOptions = {},
): Layer {
  checkOptions("depthwiseConv2d()", options, DEPTHWISE_CONV2D_OPTIONS, "{ stride: 2 }");
  return namedConv2d("depthwiseConv2d", channels, channels, kernelSize, { ...options, groups: channels });
}

/**
 * A convolution in two: each channel by itself, then a 1 x 1 convolution over channels (Chollet 2017). Parameters
 * `depthwise.weight`, `pointwise.weight` and `pointwise.bias`; stride, padding and dilation are those of the first.
 */
export function separableConv2d(
  inChannels: number,
  outChannels: number,
  kernelSize: RowsColumns,
  options: DepthwiseConv2dOptions = {},
): Layer {
  checkOptions("separableConv2d()", options, DEPTHWISE_CONV2D_OPTIONS, "{ stride: 2 }");
  const { stride, padding, dilation, ...weights } = options;
  const depthwise = namedConv2d("separableConv2d", inChannels, inChannels, kernelSize, {
    ...weights,
    stride,
    padding,
    dilation,
    groups: inChannels,
    bias: false,
  });
  const pointwise = namedConv2d("separableConv2d", inChannels, outChannels, 1, weights);
  return layer(
    (x, scope) => pointwise(depthwise(x, scope.child("depthwise")), scope.child("pointwise")),
    `separableConv2d(${inChannels}, ${outChannels}, ${JSON.stringify(kernelSize)})`,
  );
}
