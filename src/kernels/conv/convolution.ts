import type { ConvolutionProduct, ConvolutionSizes } from "./convolution_sizes.ts";
import { elementsOf } from "./convolution_sizes.ts";
import type { KernelMemory, KernelStep } from "../kernel_steps.ts";
import { directInputGradient, directOutput } from "./direct_convolution.ts";
import { directWeightGradient } from "./direct_weight_gradient.ts";
import { fitsDirect } from "./direct_wgsl.ts";
import { type ConvolutionBindings, elementConvolution } from "./element_convolution.ts";

/**
 * `direct`: the invocations of a workgroup compute 32 channels of a few neighbouring elements, with the weights in a
 * uniform buffer. For CPU adapters. Convolutions of several groups, and of long rows, go by `element`.
 * `element`: an invocation computes one element of the result.
 */
export type ConvolutionVariant = "direct" | "element";

/**
 * One product of a 2-D convolution in f32: its output from input and weights, or the gradient of one of them. Factors
 * stand in the order input, weights, output's gradient.
 *
 * Input `[batch, inChannels, rows, columns]`, weights `[outChannels, inChannels / groups, rows, columns]`. Zeros
 * around the input are multiplied like other elements. Sums have an order that depends on the sizes and the variant
 * only, so that equal inputs give equal bits. An element is off by at most one rounding (2^-24) a term of the sum of
 * the magnitudes of its products; the gradient of a weight, in the variant `direct`, by at most 4,096 and one for
 * each 4,096 of its terms.
 */
export function convolution<B>(
  product: ConvolutionProduct,
  bindings: ConvolutionBindings<B>,
  sizes: ConvolutionSizes,
  variant: ConvolutionVariant,
  memory: KernelMemory<B>,
): KernelStep<B>[] {
  const { out, factors: [first, second] } = bindings;
  if (variant === "element" || !isForDirect(product, sizes)) {
    return [{ dispatch: elementConvolution(product, bindings, sizes), writes: [out] }];
  }
  switch (product) {
    case "output":
      return directOutput({ source: first, weight: second, out }, sizes, memory);
    case "inputGradient":
      return directInputGradient({ source: second, weight: first, out }, sizes, memory);
    case "weightGradient":
      return directWeightGradient({ input: first, outGradient: second, out }, sizes, memory);
    default:
      throw new TypeError(`A convolution has no product ${product satisfies never}`);
  }
}

/** The weights' gradient unrolls the whole kernel. */
const MOST_TAPS = 64;

/** Empty tensors have nothing to pack; the general variant knows what is left of their sums. */
function isForDirect(product: ConvolutionProduct, sizes: ConvolutionSizes): boolean {
  const { groups, kernel } = sizes;
  const isEmpty = Object.values(elementsOf(sizes)).includes(0);
  if (groups > 1 || isEmpty) return false;
  return product === "weightGradient" ? kernel[0] * kernel[1] <= MOST_TAPS : fitsDirect(kernel);
}
