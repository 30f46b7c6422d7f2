import { checkOptions, type OptionNames, pickOptions } from "../../base/options/options.ts";
import { conv1d as conv1dOf, conv2d as conv2dOf } from "../../graph/ops/spatial/convolution.ts";
import {
  CONV1D_OPTIONS,
  type Conv1dOptions,
  CONV2D_OPTIONS,
  type Conv2dOptions,
} from "../../graph/ops/spatial/convolution_options.ts";
import { rowsAndColumns, type RowsColumns } from "../../graph/ops/spatial/window.ts";
import type { Layer } from "../layer.ts";
import { channelsOfGroup, convolutionLayer } from "./convolution_layer.ts";
import { LINEAR_OPTIONS, type LinearOptions } from "./linear.ts";
import { requireSize } from "./require_input.ts";

/** Options of {@link conv2d}. */
export interface Conv2dLayerOptions extends Conv2dOptions, LinearOptions {}

/** Every option of {@link Conv2dLayerOptions}. */
export const CONV2D_LAYER_OPTIONS: OptionNames<Conv2dLayerOptions> = { ...CONV2D_OPTIONS, ...LINEAR_OPTIONS };

/** Options of {@link conv1d}. */
export interface Conv1dLayerOptions extends Conv1dOptions, LinearOptions {}

/** Every option of {@link Conv1dLayerOptions}. */
export const CONV1D_LAYER_OPTIONS: OptionNames<Conv1dLayerOptions> = { ...CONV1D_OPTIONS, ...LINEAR_OPTIONS };

/**
 * 2-D convolution: `[batch, inChannels, rows, columns]` to `[batch, outChannels, outRows, outColumns]`. Parameters
 * `weight` `[outChannels, inChannels / groups, kernelRows, kernelColumns]` and `bias` `[outChannels]`; both begin
 * uniform within ± 1 / sqrt(fanIn), as in PyTorch. A `TypeError` for an input that does not fit.
 */
export function conv2d(
  inChannels: number,
  outChannels: number,
  kernelSize: RowsColumns,
  options: Conv2dLayerOptions = {},
): Layer {
  checkOptions("conv2d()", options, CONV2D_LAYER_OPTIONS, '{ stride: 2, padding: "same" }');
  return namedConv2d("conv2d", inChannels, outChannels, kernelSize, options);
}

/** As {@link conv2d} for options that are checked; `called` is what the layer is called in messages. */
export function namedConv2d(
  called: string,
  inChannels: number,
  outChannels: number,
  kernelSize: RowsColumns,
  options: Conv2dLayerOptions,
): Layer {
  const kernel = rowsAndColumns(called, "the kernel's size", kernelSize, 1);
  const name = `${called}(${inChannels}, ${outChannels}, ${JSON.stringify(kernelSize)})`;
  requireSize(name, "the number of input channels", inChannels);
  requireSize(name, "the number of output channels", outChannels);
  const { groups = 1 } = options;
  channelsOfGroup(name, outChannels, groups);
  const window = pickOptions<Conv2dOptions>(options, CONV2D_OPTIONS);
  return convolutionLayer({
    name,
    inChannels,
    outChannels,
    weightShape: [outChannels, channelsOfGroup(name, inChannels, groups), ...kernel],
    convolve: (x, weight) => conv2dOf(x, weight, window),
  }, options);
}

/**
 * 1-D convolution: `[batch, inChannels, length]` to `[batch, outChannels, outLength]`. Parameters `weight`
 * `[outChannels, inChannels / groups, kernelSize]` and `bias` `[outChannels]`, which begin as those of {@link conv2d}.
 */
export function conv1d(
  inChannels: number,
  outChannels: number,
  kernelSize: number,
  options: Conv1dLayerOptions = {},
): Layer {
  checkOptions("conv1d()", options, CONV1D_LAYER_OPTIONS, '{ stride: 2, padding: "same" }');
  const name = `conv1d(${inChannels}, ${outChannels}, ${kernelSize})`;
  requireSize(name, "the number of input channels", inChannels);
  requireSize(name, "the number of output channels", outChannels);
  requireSize(name, "the kernel's size", kernelSize);
  const { groups = 1 } = options;
  channelsOfGroup(name, outChannels, groups);
  const window = pickOptions<Conv1dOptions>(options, CONV1D_OPTIONS);
  return convolutionLayer({
    name,
    inChannels,
    outChannels,
    weightShape: [outChannels, channelsOfGroup(name, inChannels, groups), kernelSize],
    convolve: (x, weight) => conv1dOf(x, weight, window),
  }, options);
}
