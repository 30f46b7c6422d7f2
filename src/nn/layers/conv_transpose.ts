import { checkOptions, type OptionNames, pickOptions } from "../../base/options/options.ts";
import { convTranspose2d as convTranspose2dOf } from "../../graph/ops/spatial/convolution.ts";
import {
  CONV_TRANSPOSE2D_OPTIONS,
  type ConvTranspose2dOptions,
} from "../../graph/ops/spatial/convolution_options.ts";
import { rowsAndColumns, type RowsColumns } from "../../graph/ops/spatial/window.ts";
import type { Layer } from "../layer.ts";
import { channelsOfGroup, convolutionLayer } from "./convolution_layer.ts";
import { LINEAR_OPTIONS, type LinearOptions } from "./linear.ts";
import { requireSize } from "./require_input.ts";

/** Options of {@link convTranspose2d}. */
export interface ConvTranspose2dLayerOptions extends ConvTranspose2dOptions, LinearOptions {}

/** Every option of {@link ConvTranspose2dLayerOptions}. */
export const CONV_TRANSPOSE2D_LAYER_OPTIONS: OptionNames<ConvTranspose2dLayerOptions> = {
  ...CONV_TRANSPOSE2D_OPTIONS,
  ...LINEAR_OPTIONS,
};

/**
 * Transposed 2-D convolution: `[batch, inChannels, rows, columns]` to `[batch, outChannels, …]`, with
 * `(rows - 1) * stride - 2 * padding + dilation * (kernelRows - 1) + outputPadding + 1` rows. Parameters `weight`
 * `[inChannels, outChannels / groups, kernelRows, kernelColumns]` and `bias` `[outChannels]`, which begin uniform
 * within ± 1 / sqrt(fanIn), as in PyTorch, whose fan-in here is `outChannels / groups` times the kernel's elements.
 */
export function convTranspose2d(
  inChannels: number,
  outChannels: number,
  kernelSize: RowsColumns,
  options: ConvTranspose2dLayerOptions = {},
): Layer {
  checkOptions("convTranspose2d()", options, CONV_TRANSPOSE2D_LAYER_OPTIONS, "{ stride: 2 }");
  const kernel = rowsAndColumns("convTranspose2d", "the kernel's size", kernelSize, 1);
  const name = `convTranspose2d(${inChannels}, ${outChannels}, ${JSON.stringify(kernelSize)})`;
  requireSize(name, "the number of input channels", inChannels);
  requireSize(name, "the number of output channels", outChannels);
  const { groups = 1 } = options;
  channelsOfGroup(name, inChannels, groups);
  const window = pickOptions<ConvTranspose2dOptions>(options, CONV_TRANSPOSE2D_OPTIONS);
  return convolutionLayer({
    name,
    inChannels,
    outChannels,
    weightShape: [inChannels, channelsOfGroup(name, outChannels, groups), ...kernel],
    convolve: (x, weight) => convTranspose2dOf(x, weight, window),
  }, options);
}
