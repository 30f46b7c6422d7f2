import { add, mul, square } from "../../../../src/graph/ops/arithmetic.ts";
import { customGradient } from "../../../../src/graph/ops/gradients/custom_gradient.ts";
import { remat } from "../../../../src/graph/ops/gradients/remat.ts";
import { matmul } from "../../../../src/graph/ops/matmul.ts";
import { dropout } from "../../../../src/graph/ops/random.ts";
import { exp, sin, tanh } from "../../../../src/graph/ops/transcendental.ts";
import { f32, opCase } from "../../op_case.ts";
import { at } from "../elements.ts";
import type { OpTwin, OpTwins } from "../op_twin.ts";

const FIRST: OpTwin = {
  evaluate: (_value, inputs) => at(inputs, 0),
  enclose: (_value, inputs) => at(inputs, 0),
};

/** Twins of `src/graph/ops/gradients`. */
export const gradientsTwins: OpTwins = {
  remat: {
    ...FIRST,
    use(maker) {
      const value = maker.f32();
      const other = maker.beside(value);
      return remat((x: typeof value) => mul(add(square(x), x), other))(value);
    },
    cases: [
      opCase("OP-12 remat", [f32([3, 4])], (a) => remat((x: typeof a) => mul(exp(x), sin(x)))(a)),
      opCase(
        "OP-12 remat of two operands, one of which follows from the other",
        [f32([2, 3]), f32([3, 3])],
        (a, b) => {
          const first = tanh(matmul(a, b));
          return remat((x: typeof a, y: typeof a) => mul(matmul(x, b), square(add(x, y))))(first, a);
        },
      ),
      opCase(
        "OP-12 remat of functions in one another, with random numbers",
        [f32([4, 5])],
        (a) =>
          remat((x: typeof a) => {
            const inner = remat((y: typeof a) => tanh(dropout(square(y), { rate: 0.25, stream: 3 })))(x);
            return mul(exp(inner), x);
          })(a),
      ),
    ],
  },
  rematInput: FIRST,
  customGradient: {
    ...FIRST,
    use: (maker) => customGradient((x) => mul(x, 3), (outGrad) => [mul(outGrad, 3)])(maker.f32()),
    cases: [
      opCase(
        "OP-12 customGradient",
        [f32([3]), f32([3])],
        (a, b) =>
          customGradient(
            (x, y) => mul(square(x), y),
            (outGrad, [x = a, y = b]) => [mul(mul(outGrad, 2), mul(x, y)), mul(outGrad, square(x))],
          )(a, b),
      ),
    ],
  },
};
