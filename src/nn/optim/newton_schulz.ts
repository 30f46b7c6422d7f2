import { add, div, mul, square } from "../../graph/ops/arithmetic.ts";
import { matmul } from "../../graph/ops/matmul.ts";
import { sum } from "../../graph/ops/sum.ts";
import { sqrt } from "../../graph/ops/transcendental.ts";
import { transpose } from "../../graph/ops/views.ts";
import type { Value } from "../../graph/value.ts";

/** Coefficients of the quintic, chosen by Jordan et al. 2024 such that small singular values grow fast. */
const [A, B, C] = [3.4445, -4.775, 2.0315];
/** Added to the norm that is divided by. */
const EPSILON = 1e-7;

/**
 * The matrix `value` with its singular values brought near to 1, by `steps` steps of Newton and Schulz: `X ← X / ‖X‖`,
 * then `X ← a X + (b A + c A²) X` with `A = X Xᵀ`, over the shorter side. They end between about 0.7 and 1.2.
 */
export function orthogonalized(value: Value, steps: number): Value {
  const [rows = 1, columns = 1] = value.shape;
  const isTall = rows > columns;
  const wide = isTall ? transpose(value) : value;
  let x = div(wide, add(sqrt(sum(square(wide))), EPSILON));
  for (let step = 0; step < steps; step++) {
    const gram = matmul(x, x, { transposeB: true });
    const polynomial = add(mul(gram, B), mul(matmul(gram, gram), C));
    x = add(mul(x, A), matmul(polynomial, x));
  }
  return isTall ? transpose(x) : x;
}
