import { type Work, WORK_OPTIONS } from "../../base/work.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { byteSizeOf } from "../../base/dtype.ts";
import { castBytes, type CastDType, castFrom } from "./cast.ts";
import type { TensorRecord } from "../format/layout.ts";
import { rangeOfSlice, type TensorSlice } from "./tensor_slice.ts";

/** Options of reading one tensor. */
export interface TensorReadOptions extends Work {
  /** The part to read: rows along the first dimension, or bytes. Default: all of it. */
  readonly slice?: TensorSlice | undefined;
  /**
   * The floating-point dtype to give the elements in, where it is not the tensor's own: rounded to nearest, ties to
   * even, NaN payloads kept as far as there is room. Only for f32, f16 and bf16.
   */
  readonly cast?: CastDType | undefined;
}

/** Every option of {@link TensorReadOptions}. */
export const TENSOR_READ_OPTIONS: OptionNames<TensorReadOptions> = {
  ...WORK_OPTIONS,
  slice: true,
  cast: true,
};

/** What a caller wants of a tensor: a range of the raw space, and how its bytes are converted. */
export interface TensorSelection {
  readonly rawStart: number;
  readonly rawEnd: number;
  /** Bytes of the result. */
  readonly byteLength: number;
  /** Whether the result is other bytes than the raw ones. */
  readonly isCast: boolean;
  /** The result for a piece of whole elements. May be the piece itself. */
  readonly convert: (raw: Uint8Array) => Uint8Array;
  /** Where in the result the bytes of a raw offset are. */
  readonly resultOffset: (rawOffset: number) => number;
}

/**
 * The part of `tensor` that the options ask for.
 * @throws RangeError for a slice that is not inside, or is cast and not of whole elements.
 * @throws CairnError `dtype_mismatch` where the dtype cannot be cast.
 */
export function selectionOf(tensor: TensorRecord, options: TensorReadOptions): TensorSelection {
  const { slice, cast } = checkOptions(`Reading "${tensor.name}"`, options, TENSOR_READ_OPTIONS);
  const { start, end } = rangeOfSlice(tensor, slice);
  const rawStart = tensor.rawOffset + start;
  const from = cast === undefined ? undefined : castFrom(tensor.name, tensor.dtype, cast);
  const isCast = cast !== undefined && from !== cast;
  const rawSize = byteSizeOf(tensor.dtype);
  if (isCast && (start % rawSize !== 0 || end % rawSize !== 0)) {
    throw new RangeError(
      `Cannot cast bytes ${start} to ${end} of "${tensor.name}": its elements have ${rawSize} bytes each`,
    );
  }
  const factor = isCast ? byteSizeOf(cast) / rawSize : 1;
  return {
    rawStart,
    rawEnd: tensor.rawOffset + end,
    byteLength: (end - start) * factor,
    isCast,
    convert: (raw) => cast === undefined || from === undefined ? raw : castBytes(raw, from, cast),
    resultOffset: (rawOffset) => (rawOffset - rawStart) * factor,
  };
}
