import { checkOptions } from "../../../base/options/options.ts";
import type { ElementwiseFunction } from "../../../kernels/elementwise/expression.ts";
import { formatShape, shapesEqual } from "../../../tensor/shape.ts";
import { createValue } from "../../create_value.ts";
import { item, type OpDefinition } from "../../op.ts";
import type { Value } from "../../value.ts";
import { AXIS_OPTIONS, type AxisOptions, resolveAxis } from "../reduction_axes.ts";
import { ANY, requireComputeDType, requireSameDType } from "../requirements.ts";
import { expandDims } from "./axes.ts";
import { padAxis } from "./slice_and_pad.ts";

/** A kernel binds this many tensors beside its result. */
const MOST_AT_ONCE = 7;

/**
 * `values` one after the other along an axis; all other axes have equal sizes. One kernel for each seven of them,
 * into which elementwise ops that use the result are fused. Throws `TypeError` for none and for shapes or dtypes that
 * differ.
 */
export function concat(values: readonly Value[], options: AxisOptions = {}): Value {
  const { axis: wanted = 0 } = checkOptions("concat()", options, AXIS_OPTIONS, "{ axis: 1 }");
  const [first, ...others] = values;
  if (first === undefined) throw new TypeError("concat: there is no value to begin with; give at least one");
  requireComputeDType("concat", first);
  const axis = resolveAxis("concat", first.shape, wanted);
  for (const other of others) {
    requireSameDType("concat", first, other);
    if (shapesEqual(first.shape.with(axis, 0), other.shape.map((size, of) => of === axis ? 0 : size))) {
      continue;
    }
    throw new TypeError(
      `concat: shapes ${formatShape(first.shape)} and ${
        formatShape(other.shape)
      } differ elsewhere than on axis ` +
        `${axis}; make them equal there`,
    );
  }
  const full = values.filter(({ shape }) => shape[axis] !== 0);
  return full.length === 0 ? first : joined(full, axis);
}

function joined(values: readonly Value[], axis: number): Value {
  if (values.length > MOST_AT_ONCE) {
    const groups = Array.from(
      { length: Math.ceil(values.length / MOST_AT_ONCE) },
      (_, group) => joined(values.slice(group * MOST_AT_ONCE, (group + 1) * MOST_AT_ONCE), axis),
    );
    return joined(groups, axis);
  }
  const [first] = values;
  if (values.length === 1 && first !== undefined) return first;
  const total = values.reduce((sum, { shape }) => sum + item(shape, axis), 0);
  let start = 0;
  const padded = values.map((value) => {
    const size = item(value.shape, axis);
    const placed = padAxis(value, axis, start, total - start - size);
    start += size;
    return placed;
  });
  const { dtype, shape } = item(padded, 0);
  return createValue(concatOp, padded, {}, dtype, shape);
}

/** Tensors that are 0 where another has an element, as one. */
export const concatOp: OpDefinition = {
  name: "concat",
  gradient: (value, outGrad) => value.dtype === "f32" ? value.inputs.map(() => outGrad) : [],
  lowering: {
    kind: "elementwise",
    cost: "cheap",
    expression: (_value, operands) => ({ kind: "apply", function: JOIN, operands }),
  },
};

/** The bits of 0 are all 0. */
const JOIN: ElementwiseFunction = {
  name: "concat",
  takes: ANY,
  wgsl(operands) {
    const bits = operands.map(({ text }) => `bitcast<Unsigned>(${text})`).join(" | ");
    const type = { f32: "Float", i32: "Signed", u32: "Unsigned" }[item(operands, 0).dtype];
    return `bitcast<${type}>(${bits})`;
  },
};

/** `values` of one shape as one value with a new axis, along which they lie. Otherwise like {@link concat}. */
export function stack(values: readonly Value[], options: AxisOptions = {}): Value {
  const { axis: wanted = 0 } = checkOptions("stack()", options, AXIS_OPTIONS, "{ axis: 1 }");
  const [first] = values;
  if (first === undefined) throw new TypeError("stack: there is no value to begin with; give at least one");
  for (const { shape } of values) {
    if (shapesEqual(shape, first.shape)) continue;
    throw new TypeError(
      `stack: shapes ${formatShape(first.shape)} and ${formatShape(shape)} differ; stack takes equal ones`,
    );
  }
  const axis = resolveAxis("stack", [...first.shape, 1], wanted);
  return concat(values.map((value) => expandDims(value, axis)), { axis });
}
