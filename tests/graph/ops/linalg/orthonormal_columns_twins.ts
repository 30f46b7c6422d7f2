import { orthonormalColumns } from "../../../../src/graph/ops/linalg/orthonormal_columns.ts";
import { ANYTHING, between, type Enclosure, isTelling } from "../../../helpers/enclosure.ts";
import { opCase, u32 } from "../../op_case.ts";
import { constant } from "../../../../src/graph/ops/sources.ts";
import { add } from "../../../../src/graph/ops/arithmetic.ts";
import { cast } from "../../../../src/graph/ops/cast.ts";
import { HostTensor } from "../../../../src/tensor/host_tensor.ts";
import { at } from "../elements.ts";
import type { OpTwins } from "../op_twin.ts";

/**
 * Q with a positive diagonal of R, of the matrix whose QR decomposition the reflections are of: each is applied to
 * whole matrices, column by column of the identity, in float64.
 */
function columnsOf(rows: number, columns: number, gaussian: ArrayLike<number>): number[] {
  const out = Array<number>(rows * columns).fill(0);
  for (let column = 0; column < columns; column++) out[column * columns + column] = 1;
  const signs: number[] = [];
  for (let which = columns - 1; which >= 0; which--) {
    const vector = Array.from(
      { length: rows },
      (_, row) => row < which ? 0 : at(gaussian, which * rows + row),
    );
    const length = Math.hypot(...vector);
    const sign = at(vector, which) >= 0 ? 1 : -1;
    vector[which] = at(vector, which) + sign * length;
    signs[which] = -sign;
    const square = vector.reduce((sum, x) => sum + x * x, 0);
    for (let column = 0; column < columns; column++) {
      const dot = vector.reduce((sum, x, row) => sum + x * at(out, row * columns + column), 0);
      vector.forEach((x, row) => {
        out[row * columns + column] = at(out, row * columns + column) - 2 * dot / square * x;
      });
    }
  }
  return out.map((x, index) => x * at(signs, index % columns));
}

/** Twins of `src/graph/ops/linalg/orthonormal_columns.ts`. */
export const orthonormalColumnsTwins: OpTwins = {
  orthonormalColumns: {
    evaluate: ({ shape: [rows = 0, columns = 0] }, [gaussian = []]) => columnsOf(rows, columns, gaussian),
    enclose: ({ shape: [rows = 0, columns = 0] }, [gaussian = []]) => {
      const isOrdinary = gaussian.every((each) =>
        isTelling(each) && each.hi - each.lo < 1e-5 && Math.abs(each.lo) > 1e-3 && Math.abs(each.lo) < 100
      );
      if (!isOrdinary) return Array<Enclosure>(rows * columns).fill(ANYTHING);
      // What is drawn is known well enough for its signs, and its directions to a hundredth.
      return columnsOf(rows, columns, gaussian.map(({ lo }) => lo)).map((x) => between(x - 0.05, x + 0.05));
    },
    use: (maker) => {
      const [columns, rows] = maker.random.pick([[1, 1], [2, 3], [3, 3], [4, 7]] as const);
      return orthonormalColumns(maker.leaf("f32", [columns, rows]));
    },
    cases: [[3, 5], [4, 4], [1, 6], [8, 9]].map(([columns = 1, rows = 1]) =>
      opCase(`LA-08 orthonormalColumns ${rows}x${columns}`, [u32([1], 1)], (zero) => {
        const numbers = Array.from({ length: rows * columns }, (_, index) => Math.sin(7 * index + 1));
        // No gradient flows through it; so it depends on what has none.
        return orthonormalColumns(
          add(cast(zero, "f32"), constant(HostTensor.from(numbers, [columns, rows], "f32"))),
        );
      })
    ),
  },
};
