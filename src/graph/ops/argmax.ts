import { checkOptions, type OptionNames } from "../../base/options.ts";
import { argmax as launchArgmax } from "../../kernels/argmax.ts";
import { formatShape } from "../../tensor/shape.ts";
import { type Binding, item, type OpDefinition } from "../op.ts";
import { createValue, type Value } from "../value.ts";
import { reduceAxes, type ReductionAttributes } from "./reduction_axes.ts";
import { requireDType } from "./requirements.ts";

/** Options of {@link argmax}. */
export interface ArgmaxOptions {
  /** The axis to search, the last when left out; a negative one is counted from the end. */
  readonly axis?: number;
  /** Whether the axis stays, with size 1. */
  readonly keepDims?: boolean;
}

/** Every option of {@link ArgmaxOptions}. */
export const ARGMAX_OPTIONS: OptionNames<ArgmaxOptions> = { axis: true, keepDims: true };

/** Index along an axis of the largest element, the first of equal ones: `u32`. A NaN counts as largest. */
export function argmax(value: Value, options: ArgmaxOptions = {}): Value {
  checkOptions("argmax()", options, ARGMAX_OPTIONS, "{ axis: 1 }");
  requireDType("argmax", value, ["f32"]);
  const axis = options.axis ?? -1;
  return reduceAxes(
    "argmax",
    value,
    { axes: axis, keepDims: options.keepDims ?? false },
    (part, attributes, shape) => {
      if (attributes.reduced === 0) {
        throw new TypeError(`argmax: axis ${axis} of shape ${formatShape(value.shape)} has no element`);
      }
      return createValue("argmax", [part], attributes, "u32", shape);
    },
  );
}

/** An index has no gradient. */
export const argmaxOp: OpDefinition<ReductionAttributes> = {
  name: "argmax",
  lowering: {
    kind: "kernel",
    steps(value, context) {
      const out = context.regionOf(value);
      const bindings = { input: context.regionOf(item(value.inputs, 0)), out };
      return [{ dispatch: launchArgmax<Binding>(bindings, value.attributes), writes: [out] }];
    },
  },
};
