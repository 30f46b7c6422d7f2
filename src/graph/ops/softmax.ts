import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import type { RowSizes, RowVariant } from "../../kernels/softmax/row_kernel.ts";
import {
  softmax as launchSoftmax,
  softmaxGradient as launchGradient,
} from "../../kernels/softmax/softmax.ts";
import { createValue } from "../create_value.ts";
import { type Binding, item, type KernelLowering, type OpDefinition, type VariantChoices } from "../op.ts";
import type { Value } from "../value.ts";
import { mul, neg, sub } from "./arithmetic.ts";
import { resolveAxis, sizesAround } from "./reduction_axes.ts";
import { requireDType } from "./requirements.ts";
import { sum } from "./sum.ts";
import { exp } from "./transcendental.ts";

/** Options of {@link softmax} and {@link logSoftmax}. */
export interface SoftmaxOptions {
  /** The axis that sums to 1, the last when left out. */
  readonly axis?: number;
}

/** Every option of {@link SoftmaxOptions}. */
export const SOFTMAX_OPTIONS: OptionNames<SoftmaxOptions> = { axis: true };

/** Attributes of the softmax ops. */
export type SoftmaxAttributes = RowSizes & { readonly axis: number; readonly isLog: boolean };

/**
 * `e^x / Σ e^x` along an axis, after taking away the largest so that nothing overflows; one kernel, and one for its
 * gradient. The sum is exact to 4.8e-7 of itself, whatever its length; besides, each result has the error of the
 * adapter's `exp`, for which WGSL allows `3 + 2 |x - max|` units in the last place, and of a division.
 */
export function softmax(value: Value, options: SoftmaxOptions = {}): Value {
  return alongAxis("softmax", false, value, options);
}

/**
 * `log(softmax(x))`, exact also where softmax rounds to 0: off by the rounding of `x - max`, and by at most 1e-6 and
 * the error of the adapter's `exp` and `log`, whatever the length. One kernel, and one for its gradient.
 */
export function logSoftmax(value: Value, options: SoftmaxOptions = {}): Value {
  return alongAxis("logSoftmax", true, value, options);
}

function alongAxis(name: string, isLog: boolean, value: Value, options: SoftmaxOptions): Value {
  const { axis: wanted = -1 } = checkOptions(`${name}()`, options, SOFTMAX_OPTIONS, "{ axis: 0 }");
  requireDType(name, value, ["f32"]);
  const axis = resolveAxis(name, value.shape, wanted);
  const attributes = { ...sizesAround(value.shape, axis), axis, isLog };
  return createValue(isLog ? logSoftmaxOp : softmaxOp, [value], attributes, "f32", value.shape);
}

const VARIANTS: VariantChoices<RowVariant> = { all: ["row", "workgroup"], cpu: "row", gpu: "workgroup" };

const LOWERING: KernelLowering<SoftmaxAttributes> = {
  kind: "kernel",
  steps(value, context) {
    const out = context.regionOf(value);
    const options = { ...value.attributes, variant: context.variant("softmax", VARIANTS) };
    const bindings = { input: context.regionOf(item(value.inputs, 0)), out };
    return [{ dispatch: launchSoftmax<Binding>(bindings, options), writes: [out] }];
  },
};

/** y = softmax(x): dx = y (dy - Σ y dy). */
export const softmaxOp: OpDefinition<SoftmaxAttributes> = {
  name: "softmax",
  gradient: (value, outGrad) => [gradientThrough(value, outGrad, value.attributes)],
  lowering: LOWERING,
};

/** y = log(softmax(x)): dx = dy - e^y Σ dy. */
export const logSoftmaxOp: OpDefinition<SoftmaxAttributes> = {
  name: "logSoftmax",
  gradient: (value, outGrad) => [gradientThrough(value, outGrad, value.attributes)],
  lowering: LOWERING,
};

/** What flows through a softmax with the result `result`. */
function gradientThrough(result: Value, outGrad: Value, attributes: SoftmaxAttributes): Value {
  const op = attributes.isLog ? logSoftmaxGradientOp : softmaxGradientOp;
  return createValue(op, [result, outGrad], attributes, "f32", result.shape);
}

const GRADIENT_LOWERING: KernelLowering<SoftmaxAttributes> = {
  kind: "kernel",
  steps(value, context) {
    const out = context.regionOf(value);
    const options = { ...value.attributes, variant: context.variant("softmax", VARIANTS) };
    const [result, outGrad] = [item(value.inputs, 0), item(value.inputs, 1)];
    const bindings = { result: context.regionOf(result), outGrad: context.regionOf(outGrad), out };
    return [{ dispatch: launchGradient<Binding>(bindings, options), writes: [out] }];
  },
};

/** For gradients of gradients: d (y (g - Σ yg)) = (g - Σ yg - Σ ·y g) dy + the same of dg. */
export const softmaxGradientOp: OpDefinition<SoftmaxAttributes> = {
  name: "softmaxGradient",
  gradient(value, outGrad) {
    const [y, g] = [item(value.inputs, 0), item(value.inputs, 1)];
    const along = { axes: value.attributes.axis, keepDims: true } as const;
    const ofResult = sub(
      mul(outGrad, sub(g, sum(mul(y, g), along))),
      mul(g, sum(mul(outGrad, y), along)),
    );
    return [ofResult, gradientThrough(y, outGrad, value.attributes)];
  },
  lowering: GRADIENT_LOWERING,
};

/** For gradients of gradients: d (g - e^y Σ g) = -e^y Σ g dy, and dg less the sum of e^y dg. */
export const logSoftmaxGradientOp: OpDefinition<SoftmaxAttributes> = {
  name: "logSoftmaxGradient",
  gradient(value, outGrad) {
    const [y, g] = [item(value.inputs, 0), item(value.inputs, 1)];
    const along = { axes: value.attributes.axis, keepDims: true } as const;
    const weighted = mul(outGrad, exp(y));
    return [neg(mul(weighted, sum(g, along))), sub(outGrad, sum(weighted, along))];
  },
  lowering: GRADIENT_LOWERING,
};
