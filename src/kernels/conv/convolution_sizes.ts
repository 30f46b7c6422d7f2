import { type MovingWindow, WINDOW_WGSL, windowConstants } from "../moving_window.ts";
import { requireElements, requireSizes } from "../sizes.ts";

/**
 * The sizes of a convolution. Its input is `[batch, inChannels, …input]`, its weights
 * `[outChannels, inChannels / groups, …kernel]`. The padding counts as zeros; how much there is behind the input
 * follows from the other sizes.
 */
export interface ConvolutionSizes extends MovingWindow {
  readonly batch: number;
  readonly inChannels: number;
  readonly outChannels: number;
  /** Channels are cut into so many groups; each output channel sees the input channels of its group. Divides both. */
  readonly groups: number;
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
  const { batch, inChannels, outChannels, groups } = sizes;
  return {
    batch,
    groups,
    group_in: inChannels / groups,
    group_out: outChannels / groups,
    ...windowConstants(sizes),
  };
}

/** Declares {@link sizeConstants}. */
export const SIZES_WGSL: string = `override batch: u32;
override groups: u32;
override group_in: u32; // input channels of a group
override group_out: u32; // output channels of a group
${WINDOW_WGSL}`;
