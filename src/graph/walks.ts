import type { Bounds, Walk } from "../kernels/elementwise/strided_access.ts";
import type { Shape } from "../tensor/shape.ts";
import { definitionOf, isResultOf } from "./create_value.ts";
import { item, type Read } from "./op.ts";
import { numberOp } from "./ops/sources.ts";
import { broadcastToOp } from "./ops/views.ts";
import type { Value } from "./value.ts";

/** What a kernel reads in the place of a value: the elements of another one, which is in memory. */
export interface ReadWalk extends Required<Walk> {
  readonly source: Value;
  /** Of the value that it stands for. */
  readonly shape: Shape;
  /** The value outside of the bounds. */
  readonly fill: number;
}

/** `value` as it is in memory. */
export function wholeOf(value: Value): ReadWalk {
  const { shape } = value;
  return { source: value, shape, strides: rowMajorStrides(shape), offset: 0, bounds: [], fill: 0 };
}

/** `value`, or what it is another name of: `stopGradient` matters to autodiff only. */
export function unwrap(value: Value): Value {
  let source = value;
  while (isIdentity(source)) source = item(source.inputs, 0);
  return source;
}

/** Whether `value` is its input under another name. */
export function isIdentity(value: Value): boolean {
  if (definitionOf(value).lowering.kind !== "view") return false;
  const { shape } = item(value.inputs, 0);
  return shape.length === value.shape.length && shape.every((size, axis) => size === value.shape[axis]);
}

/**
 * Whether a kernel reads `value` in its source: it is the result of a `read`, or that with axes of size 1 more or
 * less.
 */
export function isRead(value: Value): boolean {
  const { kind } = definitionOf(value).lowering;
  if (kind === "read") return true;
  return kind === "view" && unitsOf(value) !== undefined && isRead(unwrap(item(value.inputs, 0)));
}

/**
 * How `value` is read in memory: reads of reads are one walk. Goes back to the first value that `isInMemory`, or that
 * is no read. `value` is {@link unwrap}ped.
 */
export function walkOf(value: Value, isInMemory: (value: Value) => boolean = () => false): ReadWalk {
  const read = isInMemory(value) ? undefined : readOf(value);
  if (read === undefined) return wholeOf(value);
  const input = unwrap(item(value.inputs, 0));
  return through(read, walkOf(input, isInMemory), value.shape) ?? throughWhole(read, input, value.shape);
}

/** The walk of a read of a value that is in memory. */
function throughWhole(read: Read, input: Value, shape: Shape): ReadWalk {
  const walk = through(read, wholeOf(input), shape);
  if (walk === undefined) throw new RangeError(`A read of ${input.op} cannot be walked`);
  return walk;
}

/** What `value` reads of its input; `undefined` where it is computed otherwise. */
function readOf(value: Value): Read | undefined {
  const { lowering } = definitionOf(value);
  if (lowering.kind === "read") return lowering.read(value);
  if (lowering.kind === "view") return isRead(value) ? unitsOf(value) : undefined;
  const isRepeated = isResultOf(broadcastToOp, value) && !isResultOf(numberOp, item(value.inputs, 0));
  return isRepeated ? repeated(value) : undefined;
}

function repeated(value: Value): Read {
  const { shape } = item(value.inputs, 0);
  const added = value.shape.length - shape.length;
  return {
    starts: shape.map(() => 0),
    axes: value.shape.map((_, axis) =>
      axis < added || shape[axis - added] === 1 ? undefined : { of: axis - added, step: 1 }
    ),
  };
}

/** A view that adds and drops axes of size 1 only, as a read. */
function unitsOf(value: Value): Read | undefined {
  const { shape } = item(value.inputs, 0);
  const wide = [...shape.keys()].filter((axis) => shape[axis] !== 1);
  const kept = value.shape.filter((size) => size !== 1);
  const isSame = wide.length === kept.length && wide.every((axis, index) => shape[axis] === kept[index]);
  if (!isSame) return undefined;
  let next = 0;
  return {
    starts: shape.map(() => 0),
    axes: value.shape.map((size) => size === 1 ? undefined : { of: item(wide, next++), step: 1 }),
  };
}

/** `read` of what `inner` walks, as one walk; `undefined` where bounds cannot say it. */
function through(read: Read, inner: ReadWalk, shape: Shape): ReadWalk | undefined {
  const { starts, axes, bounds = [], fill = 0 } = read;
  if (bounds.length > 0 && inner.bounds.length > 0 && !Object.is(fill, inner.fill)) return undefined;
  const moved: Bounds[] = [];
  for (const { axis: of, from, to } of inner.bounds) {
    const axis = axes.findIndex((walked) => walked?.of === of);
    const start = item(starts, of);
    if (axis < 0 && (start < from || start >= to)) return undefined;
    if (axis >= 0) moved.push(boundsAlong(axis, axes[axis]?.step ?? 1, from - start, to - start));
  }
  return {
    source: inner.source,
    shape,
    strides: axes.map((walked) => walked === undefined ? 0 : walked.step * item(inner.strides, walked.of)),
    offset: starts.reduce((total, start, axis) => total + start * item(inner.strides, axis), inner.offset),
    bounds: [...bounds, ...moved].filter(({ axis, from, to }) => from > 0 || to < item(shape, axis)),
    fill: bounds.length > 0 ? fill : inner.fill,
  };
}

/** Where `step * place` is from `low` to below `high`. */
function boundsAlong(axis: number, step: number, low: number, high: number): Bounds {
  return step > 0
    ? { axis, from: Math.ceil(low / step), to: Math.ceil(high / step) }
    : { axis, from: Math.floor(high / step) + 1, to: Math.floor(low / step) + 1 };
}

/** The walk along the axes of `target`, which its value broadcasts to. */
export function broadcastWalk(walk: ReadWalk, target: Shape): Required<Walk> {
  const added = target.length - walk.shape.length;
  const bounds = walk.bounds.map((bound) => ({ ...bound, axis: bound.axis + added }));
  return {
    strides: target.map((_, axis) =>
      axis < added || walk.shape[axis - added] === 1 ? 0 : item(walk.strides, axis - added)
    ),
    offset: walk.offset,
    // A single place that is repeated is outside wherever it is repeated.
    bounds: bounds.map((bound) =>
      target[bound.axis] === 1 || walk.shape[bound.axis - added] !== 1 ? bound : {
        ...bound,
        from: 0,
        to: 0,
      }
    ),
  };
}

/** Whether neighbours of a walk lie apart in memory, so that reading it costs more than reading as many in a row. */
export function isScattered({ shape, strides }: ReadWalk): boolean {
  const last = shape.findLastIndex((size) => size !== 1);
  return last >= 0 && Math.abs(item(strides, last)) > 1;
}

/** How many elements lie between neighbours along each axis of a row-major tensor. */
function rowMajorStrides(shape: Shape): number[] {
  const strides: number[] = [];
  let stride = 1;
  for (const size of [...shape].reverse()) {
    strides.unshift(stride);
    stride *= size;
  }
  return strides;
}
