import { add, div, mul, neg, reciprocal, square, sub } from "../../../src/graph/ops/arithmetic.ts";
import { cast } from "../../../src/graph/ops/cast.ts";
import * as enclosure from "../../helpers/enclosure.ts";
import { f32, opCase, u32 } from "../op_case.ts";
import { type ElementTwins, ofAny, ofFloat, ofTwo } from "./element_twin.ts";

/** Twins of `src/graph/ops/arithmetic.ts`. */
export const arithmeticTwins: ElementTwins = {
  add: {
    float: (x, y) => x + y,
    enclose: enclosure.add,
    use: ofTwo(add),
    cases: [
      opCase("add of equal shapes", [f32([2, 3]), f32([2, 3])], add),
      opCase("add of a row to every row", [f32([4, 3]), f32([3])], add),
      opCase("add that broadcasts both operands", [f32([4, 1]), f32([1, 5])], add),
      opCase("add of a scalar tensor", [f32([2, 2, 3]), f32([])], add),
    ],
  },
  sub: {
    float: (x, y) => x - y,
    enclose: (a, b) => enclosure.add(a, enclosure.neg(b)),
    use: ofTwo(sub),
    cases: [opCase("sub that broadcasts in the middle", [f32([2, 1, 3]), f32([2, 4, 3])], sub)],
  },
  mul: {
    float: (x, y) => x * y,
    whole: Math.imul,
    enclose: enclosure.mul,
    use: ofTwo(mul),
    cases: [opCase("mul that broadcasts over a new axis", [f32([3]), f32([2, 3])], mul)],
  },
  div: {
    float: (x, y) => x / y,
    whole: (x, y) => y === 0 ? x : Math.trunc(x / y),
    enclose: enclosure.div,
    use: ofTwo(div),
    cases: [
      opCase("div by a column", [f32([3, 4]), f32([3, 1], 0.5, 2)], div),
      opCase(
        "arithmetic with numbers",
        [f32([5])],
        (a) => sub(1, mul(add(a, 2), div(3, add(square(a), 1)))),
      ),
      opCase(
        "arithmetic of integers",
        [u32([6], 100), f32([6])],
        (a, b) => mul(cast(add(mul(a, 3), div(a, 7)), "f32"), b),
      ),
    ],
  },
  neg: {
    float: (x) => -x,
    enclose: enclosure.neg,
    use: ofAny(neg, ["i32"]),
    cases: [opCase("neg", [f32([5])], neg)],
  },
  square: {
    float: (x) => x * x,
    whole: (x) => Math.imul(x, x),
    enclose: enclosure.square,
    use: ofAny(square, ["i32", "u32"]),
    cases: [opCase("square", [f32([5])], square)],
  },
  reciprocal: {
    float: (x) => 1 / x,
    enclose: (a) => enclosure.div(enclosure.exactly(1), a),
    use: ofFloat(reciprocal),
    cases: [opCase("reciprocal", [f32([5], 0.5, 2)], reciprocal)],
  },
};
