import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { sortedPlaces } from "../../../kernels/sort/sort.ts";
import { formatShape } from "../../../tensor/shape.ts";
import { createValue } from "../../create_value.ts";
import { memoryOf, stepsOf } from "../../kernel_steps.ts";
import { type Binding, item, type OpDefinition } from "../../op.ts";
import type { Value } from "../../value.ts";
import { takeAt } from "../indexing/take_and_scatter.ts";
import { slice } from "../movement/slice.ts";
import { resolveAxis, sizesAround } from "../reduction_axes.ts";
import { requireComputeDType } from "../requirements.ts";

/** Options of {@link sort} and {@link argsort}. */
export interface SortOptions {
  /** The axis, the last when left out; a negative one is counted from the end. */
  readonly axis?: number | undefined;
  /** Whether the largest comes first. `false` when left out. */
  readonly descending?: boolean | undefined;
}

/** Every option of {@link SortOptions}. */
export const SORT_OPTIONS: OptionNames<SortOptions> = { axis: true, descending: true };

/** Elements and where they were. */
export interface SortedValues {
  readonly values: Value;
  /** Places along the axis, `u32`. */
  readonly indices: Value;
}

/** Attributes of `argsort`. */
export type SortAttributes = { readonly axis: number; readonly isDescending: boolean };

/**
 * The elements of each row along an axis by their size, and where they were. Stable: equal ones keep their order, in
 * both directions. NaN counts as largest, as in PyTorch.
 */
export function sort(value: Value, options: SortOptions = {}): SortedValues {
  const { axis = -1 } = checkOptions("sort()", options, SORT_OPTIONS, "{ axis: 0, descending: true }");
  const indices = argsort(value, options);
  return { values: chosen(value, indices, resolveAxis("sort", value.shape, axis)), indices };
}

/** The places along an axis, `u32`, that its elements would have to be taken from to be sorted; see {@link sort}. */
export function argsort(value: Value, options: SortOptions = {}): Value {
  const { axis = -1, descending = false } = checkOptions("argsort()", options, SORT_OPTIONS, "{ axis: 0 }");
  requireComputeDType("argsort", value);
  const attributes = { axis: resolveAxis("argsort", value.shape, axis), isDescending: descending };
  return createValue(argsortOp, [value], attributes, "u32", value.shape);
}

/** Options of {@link topK}. */
export interface TopKOptions {
  /** The axis, the last when left out; a negative one is counted from the end. */
  readonly axis?: number | undefined;
  /** `false`: the smallest instead. */
  readonly largest?: boolean | undefined;
}

/** Every option of {@link TopKOptions}. */
export const TOP_K_OPTIONS: OptionNames<TopKOptions> = { axis: true, largest: true };

/**
 * The `k` largest elements of each row along an axis, the largest first and of equal ones the first, and where they
 * were. NaN counts as largest. Throws `RangeError` when there are not as many.
 */
export function topK(value: Value, k: number, options: TopKOptions = {}): SortedValues {
  const { axis: wanted = -1, largest = true } = checkOptions("topK()", options, TOP_K_OPTIONS, "{ axis: 0 }");
  const axis = resolveAxis("topK", value.shape, wanted);
  if (!Number.isInteger(k) || k < 0 || k > item(value.shape, axis)) {
    throw new RangeError(
      `topK: k is a whole number up to the size of axis ${axis} of shape ${
        formatShape(value.shape)
      }, not ${k}`,
    );
  }
  const places = argsort(value, { axis, descending: largest });
  const indices = slice(places, { axis, end: k });
  return { values: chosen(value, indices, axis), indices };
}

/** The elements at sorted places, each of which is there once. */
function chosen(value: Value, indices: Value, axis: number): Value {
  return takeAt(value, indices, indices.shape, { axis, isShared: false, isUnique: true });
}

/** A place has no gradient. */
export const argsortOp: OpDefinition<SortAttributes> = {
  name: "argsort",
  lowering: {
    kind: "kernel",
    steps(value, context) {
      const input = item(value.inputs, 0);
      const { axis, isDescending } = value.attributes;
      const steps = sortedPlaces<Binding>(
        { input: context.regionOf(input), out: context.regionOf(value) },
        { ...sizesAround(value.shape, axis), dtype: requireComputeDType("argsort", input), isDescending },
        memoryOf(context),
      );
      return stepsOf(steps);
    },
  },
};
