import { mul } from "../../graph/ops/arithmetic.ts";
import { orthonormalColumns } from "../../graph/ops/linalg/orthonormal_columns.ts";
import { randomNormal } from "../../graph/ops/random.ts";
import { reshape, transpose } from "../../graph/ops/views.ts";
import { elementCount, formatShape } from "../../tensor/shape.ts";
import type { Initializer } from "../initializers.ts";

/**
 * A random orthogonal matrix times `gain` (Saxe, McClelland and Ganguli 2013), as PyTorch's `orthogonal_` and Keras'
 * `Orthogonal`: of a weight `[out, …]` seen as a matrix of `out` rows, the rows are orthonormal, or the columns where
 * there are fewer of them.
 */
export function orthogonal(gain = 1): Initializer {
  return (shape, stream) => {
    const [rows] = shape;
    if (rows === undefined || shape.length < 2) {
      throw new TypeError(`orthogonal() needs a weight of two axes or more, found ${formatShape(shape)}`);
    }
    const columns = elementCount(shape.slice(1));
    const [more, fewer] = rows > columns ? [rows, columns] : [columns, rows];
    const found = orthonormalColumns(randomNormal([fewer, more], { stream }));
    return mul(reshape(rows > columns ? found : transpose(found), shape), gain);
  };
}
