import { kindOf } from "../../../base/options/kind_of.ts";
import { createValue } from "../../create_value.ts";
import type { OpDefinition } from "../../op.ts";
import type { Value } from "../../value.ts";
import type { CustomGradient } from "../custom.ts";
import { requireResult } from "./remat.ts";

/** Attributes of `customGradient`. */
export type CustomGradientAttributes = { readonly gradient: CustomGradient };

/**
 * `f` with a gradient of your own, as `jax.custom_vjp` and PyTorch's `autograd.Function`: `gradient` gives that of
 * each input, `undefined` where none flows, from that of the result, the inputs and the result. No gradient flows into
 * what else `f` uses.
 *
 * @example
 * ```ts
 * // Rounds, and lets the gradient through as if it had not.
 * const rounded = ops.customGradient((x) => ops.round(x), (outGrad) => [outGrad]);
 * const y = rounded(ops.input("x", "f32", [4]));
 * ```
 */
export function customGradient<Inputs extends readonly Value[]>(
  f: (...inputs: Inputs) => Value,
  gradient: CustomGradient,
): (...inputs: Inputs) => Value {
  for (const given of [f, gradient]) {
    if (typeof given === "function") continue;
    throw new TypeError(
      `customGradient: takes a function of values and one of their gradients, found ${kindOf(given)}`,
    );
  }
  return (...inputs) => {
    const result = requireResult("customGradient", f(...inputs));
    return createValue(customGradientOp, [result, ...inputs], { gradient }, result.dtype, result.shape);
  };
}

/** The first input under another name; the others are those of the function. */
export const customGradientOp: OpDefinition<CustomGradientAttributes> = {
  name: "customGradient",
  gradient(value, outGrad) {
    const [, ...inputs] = value.inputs;
    const gradients = value.attributes.gradient(outGrad, inputs, value);
    if (gradients.length === inputs.length) return [undefined, ...gradients];
    throw new TypeError(
      `customGradient: the gradient function gave ${gradients.length} gradients for ${inputs.length} inputs; ` +
        "give one for each, undefined where none flows",
    );
  },
  lowering: { kind: "view" },
};
