import type { ConvolutionProduct, ConvolutionSizes } from "./convolution_sizes.ts";
import { elementsOf } from "./convolution_sizes.ts";
import type { KernelMemory, KernelStep } from "../kernel_steps.ts";
import { directInputGradient, directOutput } from "./direct_convolution.ts";
import { directWeightGradient } from "./direct_weight_gradient.ts";
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
  const steps = variant === "direct" ? directProduct(product, bindings, sizes, memory) : undefined;
  return steps ?? [{ dispatch: elementConvolution(product, bindings, sizes), writes: [bindings.out] }];
}

/** `undefined` for what the direct variant does not take. Empty tensors have nothing to pack. */
function directProduct<B>(
  product: ConvolutionProduct,
  { out, factors: [first, second] }: ConvolutionBindings<B>,
  sizes: ConvolutionSizes,
  memory: KernelMemory<B>,
): KernelStep<B>[] | undefined {
  const isEmpty = Object.values(elementsOf(sizes)).includes(0);
  if (sizes.groups > 1 || isEmpty) return undefined;
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
