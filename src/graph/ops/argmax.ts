import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { argmax as launchArgmax } from "../../kernels/reduce/argmax.ts";
import { formatShape } from "../../tensor/shape.ts";
import { createValue } from "../create_value.ts";
import { type Binding, item, type OpDefinition } from "../op.ts";
import type { Value } from "../value.ts";
import { resolveAxis, sizesAround } from "./reduction_axes.ts";
import { requireDType } from "./requirements.ts";
import { reshape } from "./views.ts";

/** Options of {@link argmax}. */
export interface ArgmaxOptions {
  /** The axis to search, the last when left out; a negative one is counted from the end. */
  readonly axis?: number;
  /** Whether the axis stays, with size 1. */
  readonly keepDims?: boolean;
}

/** Every option of {@link ArgmaxOptions}. */
export const ARGMAX_OPTIONS: OptionNames<ArgmaxOptions> = { axis: true, keepDims: true };

/** Attributes of `argmax`: a tensor seen as `[outer, reduced, inner]`. */
export type ArgmaxAttributes = {
  readonly outer: number;
  readonly reduced: number;
  readonly inner: number;
};

/** Index along an axis of the largest element, the first of equal ones: `u32`. A NaN counts as largest. */
export function argmax(value: Value, options: ArgmaxOptions = {}): Value {
  checkOptions("argmax()", options, ARGMAX_OPTIONS, "{ axis: 1 }");
  requireDType("argmax", value, ["f32"]);
  const { axis: wanted = -1, keepDims = false } = options;
  const { shape } = value;
  const axis = resolveAxis("argmax", shape, wanted);
  const attributes = sizesAround(shape, axis);
  if (attributes.reduced === 0) {
    throw new TypeError(`argmax: axis ${wanted} of shape ${formatShape(shape)} has no element`);
  }
  const kept = shape.map((size, index) => index === axis ? 1 : size);
  const result = createValue(argmaxOp, [value], attributes, "u32", kept);
  return keepDims ? result : reshape(result, shape.filter((_, index) => index !== axis));
}

/** An index has no gradient. */
export const argmaxOp: OpDefinition<ArgmaxAttributes> = {
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
