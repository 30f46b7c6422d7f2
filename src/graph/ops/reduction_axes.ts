import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { reduce } from "../../kernels/reduce/reduce.ts";
import type { ReductionSpan } from "../../kernels/reduce/reduction_plan.ts";
import type { ReduceOp } from "../../kernels/reduce/reduction_totals.ts";
import { elementCount, formatShape, type Shape } from "../../tensor/shape.ts";
import { memoryOf, stepsOf } from "../kernel_steps.ts";
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

/** Options of what goes along one axis. */
export interface AxisOptions {
  /** The axis, negative ones counted from the end. 0 when left out. */
  readonly axis?: number | undefined;
}

/** Every option of {@link AxisOptions}. */
export const AXIS_OPTIONS: OptionNames<AxisOptions> = { axis: true };

/** What a reduction reduces. */
export type ReductionAttributes = {
  /** One for each span of neighbouring axes; each takes the result of the one before. */
  readonly spans: readonly ReductionSpan[];
  /** How many elements go into one result. */
  readonly terms: number;
};

/** Makes the value of a reduction. `shape` is its result's, the reduced axes being 1. */
export type CreateReduction = (attributes: ReductionAttributes, shape: Shape) => Value;

/** How a reduction spans. */
export function reductionLowering(op: ReduceOp): KernelLowering<ReductionAttributes> {
  return {
    kind: "kernel",
    precision: "sums",
    steps(value, context) {
      const bindings = { input: context.regionOf(item(value.inputs, 0)), out: context.regionOf(value) };
      const options = { op, spans: value.attributes.spans, dtype: requireComputeDType(op, value) };
      const steps = reduce<Binding>(bindings, options, memoryOf(context));
      return stepsOf(steps.map(({ dispatch, out }) => ({ dispatch, writes: [out] })));
    },
  };
}

/** Reduces `value` as `options` say. Where all axes to reduce have size 1, `value` is its own result. */
export function reduceAxes(
  op: string,
  value: Value,
  options: ReductionOptions,
  create: CreateReduction,
): Value {
  checkOptions(`${op}()`, options, REDUCTION_OPTIONS, "{ axes: 0 }");
  const axes = resolveAxes(op, value.shape, options.axes);
  const spans = spansOf(value.shape, axes);
  const terms = elementCount(value.shape.filter((_, axis) => axes.has(axis)));
  const shape = value.shape.map((size, axis) => axes.has(axis) ? 1 : size);
  const result = spans.length === 0 ? value : create({ spans, terms }, shape);
  if (options.keepDims === true) return result;
  return reshape(result, value.shape.filter((_, axis) => !axes.has(axis)));
}

/** The axis meant by `axis` in a tensor of `shape`, as a number from 0; a `TypeError` when it is not there. */
export function resolveAxis(op: string, shape: Shape, axis: number): number {
  if (typeof axis !== "number") throw new TypeError(`${op}: the axis is one number, not ${String(axis)}`);
  const [resolved = 0] = resolveAxes(op, shape, axis);
  return resolved;
}

/** A tensor of `shape` seen as `[outer, reduced, inner]`, `axis` being the one in the middle. */
export function sizesAround(shape: Shape, axis: number): { outer: number; reduced: number; inner: number } {
  return {
    outer: elementCount(shape.slice(0, axis)),
    reduced: item(shape, axis),
    inner: elementCount(shape.slice(axis + 1)),
  };
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

/**
 * Spans of neighbouring axes to reduce, the last first, each in a tensor whose later axes are reduced already. Axes
 * of size 1 have nothing to reduce and split no span.
 */
function spansOf(shape: Shape, axes: ReadonlySet<number>): ReductionSpan[] {
  const spans: ReductionSpan[] = [];
  let inner = 1;
  let reduced: number | undefined;
  const close = (outer: number): void => {
    if (reduced !== undefined) spans.push({ outer, reduced, inner });
    reduced = undefined;
  };
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = item(shape, axis);
    if (size === 1) continue;
    if (axes.has(axis)) {
      reduced = (reduced ?? 1) * size;
    } else {
      close(elementCount(shape.slice(0, axis + 1)));
      inner *= size;
    }
  }
  close(1);
  return spans;
}
