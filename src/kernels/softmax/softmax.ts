import type { Dispatch } from "../../gpu/dispatch.ts";
import { rowKernel, type RowSizes, type RowVariant } from "./row_kernel.ts";

/** What a softmax is of. */
export interface SoftmaxOptions extends RowSizes {
  /** Whether the result is the logarithm of it. */
  readonly isLog: boolean;
  readonly variant: RowVariant;
}

/**
 * `out = e^(x - max) / Σ e^(x - max)` along `reduced`, or `(x - max) - log Σ e^(x - max)`, in one dispatch. A row
 * with a NaN or +infinity, or of nothing but -infinity, is NaN.
 */
export function softmax<B>(
  bindings: { readonly input: B; readonly out: B },
  options: SoftmaxOptions,
): Dispatch<B> {
  const { isLog, variant, outer, reduced, inner } = options;
  return rowKernel({
    label: isLog ? "logSoftmax" : "softmax",
    inputs: [bindings.input],
    out: bindings.out,
    sizes: { outer, reduced, inner },
    variant,
    needsLargest: true,
    term: "exp(x0 - largest)",
    result: isLog ? "(x0 - largest) - log(opaque(total))" : "exp(x0 - largest) / opaque(total)",
  });
}

/** What the gradient of a softmax binds. */
export interface SoftmaxGradientBindings<B> {
  /** The softmax, or its logarithm. */
  readonly result: B;
  /** The gradient of that. */
  readonly outGrad: B;
  readonly out: B;
}

/** The gradient of the operand: `y (g - Σ g y)`, or `g - e^y Σ g` of the logarithm, in one dispatch. */
export function softmaxGradient<B>(
  bindings: SoftmaxGradientBindings<B>,
  options: SoftmaxOptions,
): Dispatch<B> {
  const { isLog, variant, outer, reduced, inner } = options;
  return rowKernel({
    label: isLog ? "logSoftmaxGradient" : "softmaxGradient",
    inputs: [bindings.result, bindings.outGrad],
    out: bindings.out,
    sizes: { outer, reduced, inner },
    variant,
    needsLargest: false,
    term: isLog ? "x1" : "x1 * x0",
    result: isLog ? "x1 - exp(x0) * total" : "x0 * (x1 - total)",
  });
}
