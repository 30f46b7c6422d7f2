import { CairnError } from "../base/errors.ts";
import type { Shape } from "../tensor/shape.ts";
import { PickleOpaque } from "./torch/pickle_values.ts";

/**
 * A tensor of a checkpoint whose elements cannot be had from the bytes alone: sparse, quantized, without a storage,
 * of a class of its own. It is listed, so that nothing is lost silently, and says what it is when it is read.
 */
export class UnreadableTensor extends PickleOpaque {
  /** Why, such as `"it is sparse"`. */
  readonly reason: string;
  /** Its dtype in PyTorch's words; `"unknown"` where the file does not say. */
  readonly storedAs: string;
  /** `[]` where the file does not say. */
  readonly shape: Shape;

  /** A tensor that cannot be read for that reason. */
  constructor(reason: string, storedAs: string, shape: Shape) {
    super();
    this.reason = reason;
    this.storedAs = storedAs;
    this.shape = shape;
  }

  /** Always rejects with `CairnError("unsupported")`. */
  read(): Promise<never> {
    return Promise.reject(
      new CairnError(
        "unsupported",
        `Cannot read a tensor of PyTorch: ${this.reason}; save it as a dense one`,
      ),
    );
  }
}
