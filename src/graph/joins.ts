import { byteSizeOf } from "../base/dtype.ts";
import type { Shape } from "../tensor/shape.ts";
import { definitionOf, isResultOf } from "./create_value.ts";
import type { FusedGroup } from "./fusion.ts";
import { item, type JoinableWork, type JoiningContext } from "./op.ts";
import { sumOp } from "./ops/sum.ts";
import { reachable, sizeOf, type Value } from "./value.ts";
import { broadcastWalk } from "./walks.ts";

/** What runs inside the kernel of a value, so that it takes no dispatch of its own. */
export interface JoinedWork {
  /** Elementwise ops of its result, which alone reads it, and which of their leaves it is. */
  readonly group?: FusedGroup;
  readonly leaf?: number;
  /** A sum of one of its inputs. */
  readonly sum?: Value;
}

/** What joins which kernel. */
export interface Joins {
  readonly byKernel: ReadonlyMap<Value, JoinedWork>;
  /** The kernel that computes a value of another: the last one of its group, or a sum. */
  readonly byResult: ReadonlyMap<Value, Value>;
}

/** Who reads a value in memory: a kernel's value, a group, or the program, whose results stay. */
type Reader = Value | FusedGroup | "program";

/**
 * Finds elementwise kernels and sums that the kernels of other values compute on the way, as far as those offer it
 * (`KernelLowering.joins`).
 *
 * A group joins the kernel of a value that nobody else reads, and is computed where the group would be: all that it
 * reads is there by then. A sum joins a kernel that reads the same tensor, if nothing needs it before.
 */
export function joinWork(
  roots: readonly Value[],
  groups: ReadonlyMap<Value, FusedGroup>,
  context: JoiningContext,
): Joins {
  const values = reachable(roots);
  const offers = new Map<Value, JoinableWork>();
  for (const value of values) {
    const { lowering } = definitionOf(value);
    const offer = lowering.kind === "kernel" ? lowering.joins?.(value, context) : undefined;
    if (offer !== undefined) offers.set(value, offer);
  }
  const joins = new Map<Value, JoinedWork>();
  const byResult = new Map<Value, Value>();
  if (offers.size === 0) return { byKernel: joins, byResult };
  const readers = readersOf(values, roots, groups);
  for (const group of groups.values()) {
    const leaf = group.leaves.findIndex(({ source }, index) => {
      const offer = offers.get(memoryOf(source));
      return offer !== undefined && !joins.has(memoryOf(source)) && canBeBound(group, context) &&
        (readers.get(memoryOf(source))?.size ?? 0) === 1 && canEnd(group, index, offer);
    });
    if (leaf < 0) continue;
    const kernel = memoryOf(item(group.leaves, leaf).source);
    joins.set(kernel, { group, leaf });
    byResult.set(group.root, kernel);
  }
  for (const sum of values) {
    const kernel = isResultOf(sumOp, sum) ? kernelOfSum(sum, offers, joins, values) : undefined;
    if (kernel === undefined) continue;
    joins.set(kernel, { sum });
    byResult.set(sum, kernel);
  }
  return { byKernel: joins, byResult };
}

/** Whether the kernel of leaf `index` may compute the group at its end: each element of the leaf once, in its order. */
function canEnd({ root, leaves, usesScalars }: FusedGroup, index: number, offer: JoinableWork): boolean {
  const leaf = item(leaves, index);
  const walk = broadcastWalk(leaf, root.shape);
  const kernel = memoryOf(leaf.source);
  return root.dtype === "f32" && !usesScalars && leaves.length - 1 <= offer.operands &&
    sizeOf(root) === sizeOf(kernel) && walk.offset === 0 && walk.bounds.length === 0 &&
    isWhole(root.shape, walk.strides) &&
    leaves.every(({ source }, other) => other === index || memoryOf(source) !== kernel);
}

/** Whether a kernel can bind all that the group reads. */
function canBeBound({ leaves }: FusedGroup, { bindingBytes }: JoiningContext): boolean {
  return leaves.every(({ source }) => sizeOf(source) * byteSizeOf(source.dtype) <= bindingBytes);
}

/** Whether `strides` are those of a row-major tensor of `shape`; those of axes of size 1 do not matter. */
function isWhole(shape: Shape, strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= item(shape, axis);
  }
  return true;
}

/** A kernel that can leave `sum` too: it reads the same matrix, and nobody needs the sum before. */
function kernelOfSum(
  sum: Value,
  offers: ReadonlyMap<Value, JoinableWork>,
  joined: ReadonlyMap<Value, JoinedWork>,
  values: readonly Value[],
): Value | undefined {
  if (!isResultOf(sumOp, sum) || sum.dtype !== "f32") return undefined;
  const [span, ...more] = sum.attributes.spans;
  if (span === undefined || more.length > 0 || span.outer !== 1) return undefined;
  const source = memoryOf(item(sum.inputs, 0));
  const firstUse = values.find((user) =>
    definitionOf(user).lowering.kind !== "view" && user.inputs.some((input) => memoryOf(input) === sum)
  );
  return [...offers].find(([kernel, { summed }]) =>
    summed !== undefined && !joined.has(kernel) && kernel.id < (firstUse?.id ?? Infinity) &&
    memoryOf(summed) === source &&
    span.reduced === item(summed.shape, 0) && span.inner === item(summed.shape, 1)
  )?.[0];
}

/** The value whose memory `value` is in: views are where their sources are. */
function memoryOf(value: Value): Value {
  let source = value;
  while (definitionOf(source).lowering.kind === "view") source = item(source.inputs, 0);
  return source;
}

function readersOf(
  values: readonly Value[],
  roots: readonly Value[],
  groups: ReadonlyMap<Value, FusedGroup>,
): Map<Value, Set<Reader>> {
  const readers = new Map<Value, Set<Reader>>();
  const add = (value: Value, reader: Reader): void => {
    const source = memoryOf(value);
    const known = readers.get(source);
    if (known === undefined) readers.set(source, new Set([reader]));
    else known.add(reader);
  };
  for (const root of roots) add(root, "program");
  for (const group of groups.values()) {
    for (const { source } of group.leaves) add(source, group);
  }
  for (const value of values) {
    const { kind } = definitionOf(value).lowering;
    if (kind !== "kernel" && kind !== "companion") continue;
    for (const input of value.inputs) add(input, value);
  }
  return readers;
}
