import { mul } from "../../graph/ops/arithmetic.ts";
import { ones } from "../../graph/ops/fill.ts";
import { pad } from "../../graph/ops/movement/pad.ts";
import { slice } from "../../graph/ops/movement/slice.ts";
import { reshape } from "../../graph/ops/views.ts";
import { formatShape } from "../../tensor/shape.ts";
import type { Initializer } from "../initializers.ts";

/** A matrix with `gain` on its diagonal and 0 elsewhere, as PyTorch's `eye_` and Keras' `Identity`. */
export function eye(gain = 1): Initializer {
  return (shape) => {
    const [rows, columns] = shape;
    if (rows === undefined || columns === undefined || shape.length !== 2) {
      throw new TypeError(`eye() needs a weight of two axes, found ${formatShape(shape)}`);
    }
    // Rows that are an element longer than those of the matrix: their beginnings are its diagonal.
    const size = rows * columns;
    const beginnings = pad(ones([Math.min(rows, columns), 1]), [[0, columns]]);
    const all = reshape(beginnings, [-1]);
    const filled = pad(all, [[0, Math.max(0, size - (all.shape[0] ?? 0))]]);
    return mul(reshape(slice(filled, { end: size }), shape), gain);
  };
}
