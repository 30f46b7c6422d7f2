import { copyParts } from "../../../kernels/elementwise/copy.ts";
import { fillParts } from "../../../kernels/elementwise/fill.ts";
import { scatter as launchScatter, type ScatterManner } from "../../../kernels/indexing/scatter.ts";
import { takeParts } from "../../../kernels/indexing/take.ts";
import type { Shape } from "../../../tensor/shape.ts";
import { createValue } from "../../create_value.ts";
import { memoryOf, stepsOf } from "../../kernel_steps.ts";
import { type Binding, item, type LoweringContext, type OpDefinition, type Step } from "../../op.ts";
import { sizeOf, type Value } from "../../value.ts";
import { sizesAround } from "../reduction_axes.ts";
import { requireComputeDType } from "../requirements.ts";
import { zeros } from "../fill.ts";

// Taking elements and adding them up at their places are each other's gradients.

/** Attributes of what goes by indices along an axis. */
export type IndexAttributes = {
  readonly axis: number;
  /** Whether there is one list of indices, or one for each column. */
  readonly isShared: boolean;
  /** Whether no place is named twice, so that nothing has to be added up. */
  readonly isUnique: boolean;
  /** The function that takes the indices, for messages, where it has not the op's name. */
  readonly by?: string;
};

/** Elements of `value` along an axis, of which `shape` has as many as there are indices. The op of all takes. */
export function takeAt(value: Value, indices: Value, shape: Shape, attributes: IndexAttributes): Value {
  return createValue(takeOp, [value, indices], attributes, value.dtype, shape);
}

/** Gradient of take: what flows into each element is added up where it came from. */
export const takeOp: OpDefinition<IndexAttributes> = {
  name: "take",
  indices: ({ inputs, attributes: { axis, by } }) => [
    { input: 1, below: item(item(inputs, 0).shape, axis), by },
  ],
  gradient(value, outGrad) {
    if (value.dtype !== "f32") return [];
    const { shape } = item(value.inputs, 0);
    return [sumAt(outGrad, item(value.inputs, 1), shape, value.attributes)];
  },
  lowering: {
    kind: "kernel",
    steps(value, context) {
      const out = context.regionOf(value);
      const [input, indices] = [item(value.inputs, 0), item(value.inputs, 1)];
      const bindings = { input: context.regionOf(input), indices: context.regionOf(indices), out };
      const dtype = requireComputeDType("take", value);
      const sizes = indexSizes(input.shape, value.shape, value.attributes);
      return takeParts<Binding>(bindings, { ...sizes, dtype }, memoryOf(context)).map((dispatch) => {
        return { dispatch, writes: [out] };
      });
    },
  },
};

/**
 * A tensor of `shape` with the sums of the updates that go to each place, 0 where none does. The op of all summing
 * scatters.
 */
export function sumAt(updates: Value, indices: Value, shape: Shape, attributes: IndexAttributes): Value {
  return createValue(sumAtOp, [indices, updates], attributes, updates.dtype, shape);
}

/** Gradient of scattered sums: each update gets that of its place. */
export const sumAtOp: OpDefinition<IndexAttributes> = {
  name: "scatterSum",
  indices: ({ shape, attributes }) => [{ input: 0, below: item(shape, attributes.axis) }],
  gradient(value, outGrad) {
    const [indices, updates] = [item(value.inputs, 0), item(value.inputs, 1)];
    return value.dtype === "f32"
      ? [undefined, takeAt(outGrad, indices, updates.shape, value.attributes)]
      : [];
  },
  lowering: {
    kind: "kernel",
    steps(value, context) {
      const out = context.regionOf(value);
      const zeros = { count: sizeOf(value), value: 0, dtype: "u32" } as const;
      const empty = fillParts<Binding>({ out }, zeros, memoryOf(context)).map((dispatch): Step => {
        return { dispatch, writes: [out] };
      });
      return [...empty, ...scatterSteps(value, 0, value.attributes.isUnique ? "unique" : "sum", context)];
    },
  },
};

/** `base` with updates in the place of what the indices name. The op of all replacing scatters. */
export function replaceAt(base: Value, indices: Value, updates: Value, attributes: IndexAttributes): Value {
  return createValue(replaceAtOp, [base, indices, updates], attributes, base.dtype, base.shape);
}

/** Gradient of a scatter: none flows into what was replaced, and each update gets that of its place. */
export const replaceAtOp: OpDefinition<IndexAttributes> = {
  name: "scatter",
  indices: ({ shape, attributes }) => [{ input: 1, below: item(shape, attributes.axis) }],
  gradient(value, outGrad) {
    if (value.dtype !== "f32") return [];
    const [indices, updates] = [item(value.inputs, 1), item(value.inputs, 2)];
    return [
      replaceAt(outGrad, indices, zeros(updates.shape), value.attributes),
      undefined,
      takeAt(outGrad, indices, updates.shape, value.attributes),
    ];
  },
  lowering: {
    kind: "kernel",
    steps(value, context) {
      const out = context.regionOf(value);
      const base = context.regionOf(item(value.inputs, 0));
      const copied = copyParts<Binding>({ input: base, out }, sizeOf(value), memoryOf(context));
      return [
        ...copied.map((dispatch): Step => ({ dispatch, writes: [out] })),
        ...scatterSteps(value, 1, value.attributes.isUnique ? "unique" : "last", context),
      ];
    },
  },
};

/** The steps of a scatter whose indices are input number `first` and whose updates are the next. */
function scatterSteps(
  value: Value<IndexAttributes>,
  first: number,
  manner: ScatterManner,
  context: LoweringContext,
): Step[] {
  const [indices, updates] = [item(value.inputs, first), item(value.inputs, first + 1)];
  const bindings = {
    indices: context.regionOf(indices),
    updates: context.regionOf(updates),
    out: context.regionOf(value),
  };
  const sizes = indexSizes(value.shape, updates.shape, value.attributes);
  const options = { ...sizes, dtype: requireComputeDType("scatter", value), manner };
  return stepsOf(launchScatter<Binding>(bindings, options, memoryOf(context)));
}

/** The sizes of a tensor of `shape` and of the places along its axis that `named`, the shape of the elements, has. */
function indexSizes(shape: Shape, named: Shape, { axis, isShared }: IndexAttributes): {
  outer: number;
  size: number;
  inner: number;
  count: number;
  isShared: boolean;
} {
  const { outer, reduced, inner } = sizesAround(shape, axis);
  const count = named.slice(axis, named.length - (shape.length - axis - 1)).reduce(
    (total, size) => total * size,
    1,
  );
  return { outer, size: reduced, inner, count, isShared };
}
