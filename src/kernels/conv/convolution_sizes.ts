import { requireElements, requireSizes, type RowsAndColumns } from "../sizes.ts";

/**
 * The sizes of a convolution. Its input is `[batch, inChannels, …input]`, its weights
 * `[outChannels, inChannels / groups, …kernel]`.
 */
export interface ConvolutionSizes {
  readonly batch: number;
  readonly inChannels: number;
  readonly outChannels: number;
  /** Channels are cut into so many groups; each output channel sees the input channels of its group. Divides both. */
  readonly groups: number;
  readonly input: RowsAndColumns;
  readonly kernel: RowsAndColumns;
  readonly output: RowsAndColumns;
  readonly stride: RowsAndColumns;
  readonly dilation: RowsAndColumns;
  /** Rows and columns of zeros before the input. Those behind it follow from the other sizes. */
  readonly padding: RowsAndColumns;
}

/** Which of the three products of a convolution: each takes two of input, weights and output, and gives the third. */
export type ConvolutionProduct = "output" | "inputGradient" | "weightGradient";

/** How many elements input, weights and output have; `RangeError` for more than a shader can index. */
export function elementsOf(sizes: ConvolutionSizes): { input: number; weight: number; output: number } {
  const { batch, inChannels, outChannels, groups } = sizes;
  requireSizes("convolution", { batch, inChannels, outChannels, groups });
  return {
    input: requireElements("convolution", [batch, inChannels, ...sizes.input]),
    weight: requireElements("convolution", [outChannels, inChannels / groups, ...sizes.kernel]),
    output: requireElements("convolution", [batch, outChannels, ...sizes.output]),
  };
}

/** The sizes as values of the `override` constants of {@link SIZES_WGSL}. */
export function sizeConstants(sizes: ConvolutionSizes): Record<string, number> {
  const { batch, inChannels, outChannels, groups, input, kernel, output, stride, dilation, padding } = sizes;
  return {
    batch,
    groups,
    group_in: inChannels / groups,
    group_out: outChannels / groups,
    in_h: input[0],
    in_w: input[1],
    kernel_h: kernel[0],
    kernel_w: kernel[1],
    out_h: output[0],
    out_w: output[1],
    stride_y: stride[0],
    stride_x: stride[1],
    dilation_y: dilation[0],
    dilation_x: dilation[1],
    padding_y: padding[0],
    padding_x: padding[1],
  };
}

/** Declares {@link sizeConstants}. */
export const SIZES_WGSL = `override batch: u32;
override groups: u32;
override group_in: u32; // input channels of a group
override group_out: u32; // output channels of a group
override in_h: u32;
override in_w: u32;
override kernel_h: u32;
override kernel_w: u32;
override out_h: u32;
override out_w: u32;
override stride_y: u32;
override stride_x: u32;
override dilation_y: u32;
override dilation_x: u32;
override padding_y: u32;
override padding_x: u32;`;
