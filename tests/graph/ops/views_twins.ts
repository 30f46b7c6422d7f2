import { add, mul, square, sub } from "../../../src/graph/ops/arithmetic.ts";
import { broadcastTo, reshape, stopGradient, transpose } from "../../../src/graph/ops/views.ts";
import { f32, opCase } from "../op_case.ts";
import { at, broadcast, transposed } from "./elements.ts";
import type { OpTwins } from "./op_twin.ts";

/** Twins of `src/graph/ops/views.ts`. */
export const viewsTwins: OpTwins = {
  reshape: {
    evaluate: (_value, inputs) => at(inputs, 0),
    enclose: (_value, inputs) => at(inputs, 0),
    use(maker) {
      const value = maker.f32(({ shape }) => !shape.includes(0));
      return reshape(value, maker.random.pick([[-1], [1, -1], [...value.shape].reverse()]));
    },
    cases: [opCase("reshape", [f32([2, 6])], (a) => square(reshape(a, [3, -1])))],
  },
  stopGradient: {
    evaluate: (_value, inputs) => at(inputs, 0),
    enclose: (_value, inputs) => at(inputs, 0),
    use(maker) {
      const value = maker.f32();
      return mul(stopGradient(value), value);
    },
    cases: [
      opCase(
        "stopGradient under a constant function",
        [f32([4])],
        (a) => mul(a, sub(add(stopGradient(a), 1), stopGradient(a))),
      ),
    ],
  },
  broadcastTo: {
    evaluate: (value, inputs) => broadcast(value, inputs, (elements) => at(elements, 0)),
    enclose: (value, inputs) => broadcast(value, inputs, (elements) => at(elements, 0)),
    use(maker) {
      const value = maker.f32();
      return broadcastTo(value, [2, ...value.shape.map((size) => size === 1 ? 3 : size)]);
    },
    cases: [opCase("broadcastTo", [f32([3, 1])], (a) => broadcastTo(a, [2, 3, 4]))],
  },
  transpose: {
    evaluate: (value, inputs) => transposed(value, at(inputs, 0)),
    enclose: (value, inputs) => transposed(value, at(inputs, 0)),
    use(maker) {
      const value = maker.f32();
      return transpose(value, [...value.shape.keys()].sort(() => maker.random.next() - 0.5));
    },
    cases: [
      opCase("transpose of a matrix", [f32([2, 3])], (a) => mul(transpose(a), 2)),
      opCase("transpose of four axes", [f32([2, 3, 2, 2])], (a) => square(transpose(a, [2, 0, 3, 1]))),
    ],
  },
};
