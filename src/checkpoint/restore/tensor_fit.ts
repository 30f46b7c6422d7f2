import type { OptionNames } from "../../base/options/options.ts";
import type { DType } from "../../base/dtype.ts";
import { isCastable } from "../../container/read/cast.ts";
import { type Shape, shapesEqual } from "../../tensor/shape.ts";
import type { TensorForm } from "../../tensor/tensor_form.ts";

/**
 * What becomes of a tensor whose shape differs: it does not fit (`error`), it keeps what it had (`skip`), it takes the
 * beginning of a larger one along each dimension (`slice`), or a smaller one and zeros after it (`pad`).
 */
export type ShapePolicy = "error" | "skip" | "slice" | "pad";

/** A tensor of a file. */
export interface FoundTensor extends TensorForm {
  /** The dtype that it had in memory when it was written with another one; it is cast back to that unasked. */
  readonly castFrom?: DType | undefined;
}

/** How tensors that differ are made to fit. */
export interface FitOptions {
  /** Default `error`. The number of dimensions has to be the same in any case. */
  readonly shapePolicy?: ShapePolicy | undefined;
  /** Whether f32, f16 and bf16 are converted into each other, rounded once, to nearest even. Default false. */
  readonly cast?: boolean | undefined;
}

/** Every option of {@link FitOptions}. */
export const FIT_OPTIONS: OptionNames<FitOptions> = { shapePolicy: true, cast: true };

/** Whether and how a tensor of the file fits one of the store. */
export interface TensorFit {
  readonly shape: "same" | "sliced" | "padded" | "skipped" | "different";
  readonly dtype: "same" | "cast" | "different";
}

/** Compares the form that is found with the one that is wanted. */
export function fitOf(found: FoundTensor, wanted: TensorForm, options: FitOptions = {}): TensorFit {
  const { cast = false } = options;
  const isAsked = cast || found.castFrom === wanted.dtype;
  const isCast = isAsked && isCastable(found.dtype) && isCastable(wanted.dtype);
  return {
    shape: shapeFit(found.shape, wanted.shape, options.shapePolicy ?? "error"),
    dtype: found.dtype === wanted.dtype ? "same" : isCast ? "cast" : "different",
  };
}

function shapeFit(found: Shape, wanted: Shape, policy: ShapePolicy): TensorFit["shape"] {
  if (shapesEqual(found, wanted)) return "same";
  const isSameRank = found.length === wanted.length;
  switch (policy) {
    case "error":
      return "different";
    case "skip":
      return "skipped";
    case "slice":
      return isSameRank && found.every((size, i) => size >= (wanted[i] ?? 0)) ? "sliced" : "different";
    case "pad":
      return isSameRank && found.every((size, i) => size <= (wanted[i] ?? 0)) ? "padded" : "different";
    default:
      throw new TypeError(
        `shapePolicy is "${String(policy satisfies never)}", expected "error", "skip", "slice" or "pad"`,
      );
  }
}
