import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { argmax as launchArgmax } from "../../kernels/reduce/argmax.ts";
import { formatShape } from "../../tensor/shape.ts";
import { createValue } from "../create_value.ts";
import { type Binding, item, type KernelLowering, type OpDefinition } from "../op.ts";
import type { Value } from "../value.ts";
import { resolveAxis, sizesAround } from "./reduction_axes.ts";
import { requireComputeDType } from "./requirements.ts";
import { reshape } from "./views.ts";

/** Options of {@link argmax} and {@link argmin}. */
export interface ArgmaxOptions {
  /** The axis to search, the last when left out; a negative one is counted from the end. */
  readonly axis?: number;
  /** Whether the axis stays, with size 1. */
  readonly keepDims?: boolean;
}

/** Every option of {@link ArgmaxOptions}. */
export const ARGMAX_OPTIONS: OptionNames<ArgmaxOptions> = { axis: true, keepDims: true };

/** Attributes of `argmax` and `argmin`: a tensor seen as `[outer, reduced, inner]`. */
export type ArgmaxAttributes = {
  readonly outer: number;
  readonly reduced: number;
  readonly inner: number;
};

/** Index along an axis of the largest element, the first of equal ones: `u32`. A NaN counts as largest. */
export function argmax(value: Value, options: ArgmaxOptions = {}): Value {
  return placeOf(argmaxOp, value, options);
}

/** Index along an axis of the smallest element, the first of equal ones: `u32`. A NaN counts as smallest. */
export function argmin(value: Value, options: ArgmaxOptions = {}): Value {
  return placeOf(argminOp, value, options);
}

/** An index has no gradient. */
export const argmaxOp: OpDefinition<ArgmaxAttributes> = { name: "argmax", lowering: searching(false) };

/** An index has no gradient. */
export const argminOp: OpDefinition<ArgmaxAttributes> = { name: "argmin", lowering: searching(true) };

function searching(isSmallest: boolean): KernelLowering<ArgmaxAttributes> {
  return {
    kind: "kernel",
    steps(value, context) {
      const out = context.regionOf(value);
      const input = item(value.inputs, 0);
      const options = { ...value.attributes, dtype: requireComputeDType(value.op, input), isSmallest };
      const dispatch = launchArgmax<Binding>({ input: context.regionOf(input), out }, options);
      return [{ dispatch, writes: [out] }];
    },
  };
}

function placeOf(op: OpDefinition<ArgmaxAttributes>, value: Value, options: ArgmaxOptions): Value {
  const { name } = op;
  const { axis: wanted = -1, keepDims = false } = checkOptions(
    `${name}()`,
    options,
    ARGMAX_OPTIONS,
    "{ axis: 1 }",
  );
  requireComputeDType(name, value);
  const { shape } = value;
  const axis = resolveAxis(name, shape, wanted);
  const attributes = sizesAround(shape, axis);
  if (attributes.reduced === 0) {
    throw new TypeError(`${name}: axis ${wanted} of shape ${formatShape(shape)} has no element`);
  }
  const result = createValue(op, [value], attributes, "u32", shape.with(axis, 1));
  return keepDims ? result : reshape(result, shape.toSpliced(axis, 1));
}
