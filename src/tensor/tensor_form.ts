import type { DType } from "../base/dtype.ts";
import { formatShape, type Shape } from "./shape.ts";

/** What a tensor is, whatever its elements are. */
export interface TensorForm {
  /** Its full name. */
  readonly name: string;
  /** The dtype of its elements. */
  readonly dtype: DType;
  /** Sizes of the dimensions, outermost first. */
  readonly shape: Shape;
}

/** For messages, as in "f32 [64, 784]". */
export function formatForm({ dtype, shape }: TensorForm): string {
  return `${dtype} ${formatShape(shape)}`;
}
