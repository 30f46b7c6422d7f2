import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { cumsum as launchCumsum } from "../../../kernels/reduce/cumsum.ts";
import { createValue } from "../../create_value.ts";
import { item, type OpDefinition, type Region } from "../../op.ts";
import type { Value } from "../../value.ts";
import { resolveAxis, sizesAround } from "../reduction_axes.ts";
import { requireComputeDType } from "../requirements.ts";

/** Options of {@link cumsum}. */
export interface CumsumOptions {
  /** The axis, negative ones counted from the end. 0 when left out. */
  readonly axis?: number | undefined;
  /** Whether the sums begin at the end of the axis. `false` when left out. */
  readonly reverse?: boolean | undefined;
}

/** Every option of {@link CumsumOptions}. */
export const CUMSUM_OPTIONS: OptionNames<CumsumOptions> = { axis: true, reverse: true };

/** Attributes of `cumsum`. */
export type CumsumAttributes = { readonly axis: number; readonly isReverse: boolean };

/**
 * The sum of each element and all before it along an axis. Of f32 each is off by at most 2.4e-7 of the sum of the
 * magnitudes up to it, whatever the length; integers wrap around.
 */
export function cumsum(value: Value, options: CumsumOptions = {}): Value {
  const { axis = 0, reverse = false } = checkOptions("cumsum()", options, CUMSUM_OPTIONS, "{ axis: 1 }");
  const dtype = requireComputeDType("cumsum", value);
  const attributes = { axis: resolveAxis("cumsum", value.shape, axis), isReverse: reverse };
  return createValue(cumsumOp, [value], attributes, dtype, value.shape);
}

/** Gradient of cumsum: the sums of what flows from there on. */
export const cumsumOp: OpDefinition<CumsumAttributes> = {
  name: "cumsum",
  gradient(value, outGrad) {
    const { axis, isReverse } = value.attributes;
    return value.dtype === "f32" ? [cumsum(outGrad, { axis, reverse: !isReverse })] : [];
  },
  lowering: {
    kind: "kernel",
    precision: "sums",
    steps(value, context) {
      const { axis, isReverse } = value.attributes;
      const bindings = { input: context.regionOf(item(value.inputs, 0)), out: context.regionOf(value) };
      const dtype = requireComputeDType("cumsum", value);
      const steps = launchCumsum<Region>(
        bindings,
        { ...sizesAround(value.shape, axis), dtype, isReverse },
        (byteLength) => context.scratch("sums of parts", byteLength),
      );
      return steps.map(({ dispatch, out }) => ({ dispatch, writes: [out] }));
    },
  },
};
