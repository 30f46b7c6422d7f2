import { byteSizeOf } from "../../base/dtype.ts";
import type { ContainerReader } from "../../container/read/container_reader.ts";
import type { TensorRecord } from "../../container/format/layout.ts";
import { elementCount, type Shape, shapesEqual } from "../../tensor/shape.ts";
import type { TensorForm } from "../../tensor/tensor_form.ts";
import { isCastable } from "../../container/read/cast.ts";

/**
 * The bytes of a tensor of a container in the form that is wanted: another floating-point dtype, the beginning of each
 * dimension, or zeros after it. On the host it needs the result and a chunk.
 *
 * @throws CairnError for damage, and what `signal` was aborted with.
 */
export async function readFitted(
  reader: ContainerReader,
  found: TensorRecord,
  wanted: TensorForm,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const elementSize = byteSizeOf(wanted.dtype);
  const result = new Uint8Array(elementCount(wanted.shape) * elementSize);
  const isSameShape = shapesEqual(found.shape, wanted.shape);
  const options = {
    signal,
    cast: found.dtype !== wanted.dtype && isCastable(wanted.dtype) ? wanted.dtype : undefined,
    // Rows that the result has no place for need not be read.
    slice: isSameShape
      ? undefined
      : { rows: [0, Math.min(found.shape[0] ?? 0, wanted.shape[0] ?? 0)] as const },
  };
  for await (const { byteOffset, bytes } of reader.stream(found.name, options)) {
    if (isSameShape) result.set(bytes, byteOffset);
    else copyOverlap(bytes, byteOffset, found.shape, result, wanted.shape, elementSize);
  }
  return result;
}

/** Copies what of a piece of a row-major tensor of shape `from` is also in one of shape `to`, row by row. */
function copyOverlap(
  piece: Uint8Array,
  pieceOffset: number,
  from: Shape,
  result: Uint8Array,
  to: Shape,
  elementSize: number,
): void {
  const fromRowBytes = (from.at(-1) ?? 1) * elementSize;
  const toRowBytes = (to.at(-1) ?? 1) * elementSize;
  const rowBytes = Math.min(fromRowBytes, toRowBytes);
  const pieceEnd = pieceOffset + piece.byteLength;
  for (let row = Math.floor(pieceOffset / fromRowBytes); row * fromRowBytes < pieceEnd; row++) {
    const target = sameRow(row, from, to);
    if (target === undefined) continue;
    const rowStart = row * fromRowBytes;
    const start = Math.max(rowStart, pieceOffset);
    const end = Math.min(rowStart + rowBytes, pieceEnd);
    if (end <= start) continue;
    result.set(
      piece.subarray(start - pieceOffset, end - pieceOffset),
      target * toRowBytes + start - rowStart,
    );
  }
}

/** The number of a row along the last dimension in a tensor of shape `to`; `undefined` where that has none there. */
function sameRow(row: number, from: Shape, to: Shape): number | undefined {
  let rest = row;
  let target = 0;
  let stride = 1;
  for (let dimension = from.length - 2; dimension >= 0; dimension--) {
    const size = from[dimension] ?? 1;
    const index = rest % size;
    rest = Math.floor(rest / size);
    const limit = to[dimension] ?? 1;
    if (index >= limit) return undefined;
    target += index * stride;
    stride *= limit;
  }
  return target;
}
