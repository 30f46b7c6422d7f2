import { allocate } from "../base/allocate.ts";
import { elementCount, type Shape } from "../tensor/shape.ts";

/** Where the elements of a tensor lie: element `[i, j]` is at `offset + i * strides[0] + j * strides[1]`. */
export interface StridedView {
  /** Sizes of the dimensions, outermost first. */
  readonly shape: Shape;
  /** In elements; none is negative. */
  readonly strides: readonly number[];
  /** Of the first element, in elements. */
  readonly offset: number;
}

/** The strides of a tensor without gaps whose last dimension is the innermost. */
export function rowMajorStrides(shape: Shape): number[] {
  const strides: number[] = [];
  let stride = 1;
  for (const size of shape.toReversed()) {
    strides.unshift(stride);
    stride *= Math.max(size, 1);
  }
  return strides;
}

/** The strides of a tensor without gaps whose first dimension is the innermost, as in Fortran. */
export function columnMajorStrides(shape: Shape): number[] {
  return rowMajorStrides(shape.toReversed()).toReversed();
}

/** Whether the elements lie one behind the other in row-major order. */
export function isContiguous({ shape, strides }: StridedView): boolean {
  if (shape.includes(0)) return true;
  const expected = rowMajorStrides(shape);
  return shape.every((size, i) => size === 1 || strides[i] === expected[i]);
}

/** The place behind the last element that a view reaches, in elements; `offset` when it has no elements. */
export function endOfView({ shape, strides, offset }: StridedView): number {
  if (shape.includes(0)) return offset;
  return shape.reduce((end, size, i) => end + (size - 1) * (strides[i] as number), offset + 1);
}

/**
 * A copy of the elements of a view in row-major order. They have to be inside `bytes`, which the caller checks with
 * {@link endOfView}. Throws `CairnError("out_of_memory")`.
 */
export function gather(bytes: Uint8Array, byteSize: number, view: StridedView): Uint8Array {
  if (byteSize === 8) return gather(bytes, 4, inHalves(view));
  const result = allocate(elementCount(view.shape) * byteSize);
  if (result.byteLength === 0) return result;
  const from = words(bytes, byteSize);
  const to = words(result, byteSize);
  const [size, stride] = [view.shape.at(-1) ?? 1, view.strides.at(-1) ?? 0];
  const outer = { shape: view.shape.slice(0, -1), strides: view.strides.slice(0, -1) };
  const index = outer.shape.map(() => 0);
  let at = view.offset;
  for (let filled = 0; filled < to.length; filled += size) {
    for (let i = 0; i < size; i++) to[filled + i] = from[at + i * stride] as number;
    at += advance(index, outer);
  }
  return result;
}

/** Moves `index` on by one, and says by how many elements that moves in memory. */
function advance(index: number[], { shape, strides }: Omit<StridedView, "offset">): number {
  let moved = 0;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const next = (index[axis] as number) + 1;
    const stride = strides[axis] as number;
    if (next < (shape[axis] as number)) {
      index[axis] = next;
      return moved + stride;
    }
    moved -= (next - 1) * stride;
    index[axis] = 0;
  }
  return moved;
}

/** Elements of eight bytes as pairs of four: no number type of JavaScript would keep all their bits. */
function inHalves({ shape, strides, offset }: StridedView): StridedView {
  return { shape: [...shape, 2], strides: [...strides.map((stride) => 2 * stride), 1], offset: 2 * offset };
}

function words(bytes: Uint8Array, byteSize: number): Uint8Array | Uint16Array | Uint32Array {
  const aligned = bytes.byteOffset % byteSize === 0 ? bytes : bytes.slice();
  const { buffer, byteOffset, byteLength } = aligned;
  if (byteSize === 1) return aligned;
  return byteSize === 2
    ? new Uint16Array(buffer, byteOffset, Math.floor(byteLength / 2))
    : new Uint32Array(buffer, byteOffset, Math.floor(byteLength / 4));
}
