import { checkOptions, type OptionNames } from "../../base/options.ts";
import { reduce, type ReduceOp } from "../../kernels/reduce.ts";
import { elementCount, formatShape, type Shape } from "../../tensor/shape.ts";
import { type Binding, item, type KernelLowering } from "../op.ts";
import type { Value } from "../value.ts";
import { requireComputeDType } from "./requirements.ts";
import { reshape } from "./views.ts";

/** Options of every reduction. */
export interface ReductionOptions {
  /** Axes to reduce, negative ones counted from the end. All of them when left out. */
  readonly axes?: number | readonly number[];
  /** Whether reduced axes stay, with size 1. `false` when left out. */
  readonly keepDims?: boolean;
}

/** Every option of {@link ReductionOptions}. */
export const REDUCTION_OPTIONS: OptionNames<ReductionOptions> = { axes: true, keepDims: true };

/** A tensor seen as `[outer, reduced, inner]`: what the reduction kernels take. */
export type ReductionAttributes = {
  readonly outer: number;
  readonly reduced: number;
  readonly inner: number;
};

/** One reduction over neighbouring axes. `shape` is the result's, the reduced axes being 1. */
export type ReduceRun = (value: Value, attributes: ReductionAttributes, shape: Shape) => Value;

/** How a reduction runs. */
export function reductionLowering(op: ReduceOp): KernelLowering<ReductionAttributes> {
  return {
    kind: "kernel",
    steps(value, context) {
      const out = context.regionOf(value);
      const bindings = { input: context.regionOf(item(value.inputs, 0)), out };
      const dtype = requireComputeDType(op, value);
      return [{ dispatch: reduce<Binding>(bindings, { op, ...value.attributes, dtype }), writes: [out] }];
    },
  };
}

/** Reduces `value` as `options` say, one run of neighbouring axes at a time, the last first. */
export function reduceAxes(op: string, value: Value, options: ReductionOptions, reduceRun: ReduceRun): Value {
  checkOptions(`${op}()`, options, REDUCTION_OPTIONS, "{ axes: 0 }");
  const axes = resolveAxes(op, value.shape, options.axes);
  let result = value;
  for (const { start, end } of runsOf(value.shape, axes)) {
    const shape = result.shape.map((size, axis) => axis >= start && axis < end ? 1 : size);
    const attributes = {
      outer: elementCount(result.shape.slice(0, start)),
      reduced: elementCount(result.shape.slice(start, end)),
      inner: elementCount(result.shape.slice(end)),
    };
    result = reduceRun(result, attributes, shape);
  }
  if (options.keepDims === true) return result;
  return reshape(result, value.shape.filter((_, axis) => !axes.has(axis)));
}

/** The axes meant by `axes` in a tensor of `shape`, as numbers from 0; a `TypeError` when one is not there. */
export function resolveAxes(
  op: string,
  shape: Shape,
  axes: number | readonly number[] | undefined,
): Set<number> {
  if (axes === undefined) return new Set(shape.keys());
  const resolved = new Set<number>();
  for (const axis of typeof axes === "number" ? [axes] : axes) {
    const fromStart = axis < 0 ? axis + shape.length : axis;
    if (!Number.isInteger(axis) || fromStart < 0 || fromStart >= shape.length) {
      throw new TypeError(
        `${op}: shape ${formatShape(shape)} has no axis ${axis}; it has ${shape.length} axes`,
      );
    }
    if (resolved.has(fromStart)) {
      throw new TypeError(`${op}: axis ${axis} of ${formatShape(shape)} is listed twice`);
    }
    resolved.add(fromStart);
  }
  return resolved;
}

/** Maximal runs of axes to reduce, the last first. Axes of size 1 have nothing to reduce and split no run. */
function runsOf(shape: Shape, axes: ReadonlySet<number>): { start: number; end: number }[] {
  const runs: { start: number; end: number }[] = [];
  let open: { start: number; end: number } | undefined;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (item(shape, axis) === 1) continue;
    if (!axes.has(axis)) {
      open = undefined;
    } else if (open === undefined) {
      open = { start: axis, end: axis + 1 };
      runs.push(open);
    } else {
      open.start = axis;
    }
  }
  return runs;
}
