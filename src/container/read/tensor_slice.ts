import { byteSizeOf } from "../../base/dtype.ts";
import type { TensorRecord } from "../format/layout.ts";

/**
 * A part of a tensor, from `start` up to but not including `end`: rows along its first dimension, or bytes, which
 * need fall on neither elements nor chunks.
 */
export type TensorSlice =
  | { readonly rows: readonly [start: number, end: number] }
  | { readonly bytes: readonly [start: number, end: number] };

/** Where a part of a tensor is, in bytes from the tensor's own start. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * The bytes of a slice, or of the whole tensor where there is none.
 * @throws RangeError for one that is not inside the tensor, and for rows of a scalar.
 * @throws TypeError for an invalid slice.
 */
export function rangeOfSlice(tensor: TensorRecord, slice: TensorSlice | undefined): ByteRange {
  if (slice === undefined) return { start: 0, end: tensor.byteLength };
  if ("bytes" in slice) {
    return checked(tensor, "bytes", slice.bytes, tensor.byteLength);
  }
  if (!("rows" in slice)) throw new TypeError("A slice is { rows: [start, end] } or { bytes: [start, end] }");
  const [rowCount, ...rowShape] = tensor.shape;
  if (rowCount === undefined) throw new RangeError(`Cannot read rows of "${tensor.name}": it is a scalar`);
  const { start, end } = checked(tensor, "rows", slice.rows, rowCount);
  const rowBytes = rowShape.reduce((product, size) => product * size, byteSizeOf(tensor.dtype));
  return { start: start * rowBytes, end: end * rowBytes };
}

function checked(
  tensor: TensorRecord,
  unit: "rows" | "bytes",
  [start, end]: readonly [number, number],
  length: number,
): ByteRange {
  const isInside = Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start <= end &&
    end <= length;
  if (isInside) return { start, end };
  throw new RangeError(`Cannot read ${unit} ${start} to ${end} of "${tensor.name}": it has ${length}`);
}
