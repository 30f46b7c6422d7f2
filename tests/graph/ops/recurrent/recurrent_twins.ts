import { add, mul } from "../../../../src/graph/ops/arithmetic.ts";
import { recurrent, recurrentLastCells } from "../../../../src/graph/ops/recurrent/recurrent.ts";
import { sum } from "../../../../src/graph/ops/sum.ts";
import type { Value } from "../../../../src/graph/value.ts";
import type { GraphMaker } from "../../../faults/numerics/graph_maker.ts";
import { ANYTHING, between, type Enclosure } from "../../../helpers/enclosure.ts";
import { f32, type OpCase } from "../../op_case.ts";
import { at } from "../elements.ts";
import type { OpTwin, OpTwins } from "../op_twin.ts";
import { leafLike } from "../spatial/leaves.ts";
import { type Cell, GATES, KEPT, runBack, runCells, type Sizes } from "./recurrent_reference.ts";

type Compute = (value: Value, inputs: readonly ArrayLike<number>[]) => ArrayLike<number>;

function sizesOf(value: Value): Sizes {
  return (value.attributes as { sizes: Sizes }).sizes;
}

const run = (value: Value, inputs: readonly ArrayLike<number>[]) => {
  const [x = [], weights = [], bias = [], state = [], cells] = inputs;
  return runCells(sizesOf(value), x, weights, bias, state, cells);
};

const back = (value: Value, inputs: readonly ArrayLike<number>[]) => {
  const [outGradient = [], weights = [], kept = [], cells] = inputs;
  const { of } = value.attributes as { of: "states" | "lastCells" };
  return runBack(sizesOf(value), of, outGradient, weights, kept, cells);
};

/** Bounds are for elements that are known well, of an ordinary size; of others nothing is said. */
function twinOf(compute: Compute): OpTwin {
  return {
    evaluate: compute,
    enclose(value, inputs) {
      const numbers = inputs.map((elements) => elements.map(middleOf));
      const count = value.shape.reduce((all, size) => all * size, 1);
      const isOrdinary = numbers.every((elements) => elements.every((x) => Math.abs(x) < 4));
      if (!isOrdinary) return Array<Enclosure>(count).fill(ANYTHING);
      const elements = Array.from(compute(value, numbers));
      // Errors of a step are multiplied by the weights of those behind it.
      const most = Math.max(1, ...elements.map(Math.abs));
      return elements.map((element) => between(element - 1e-2 * most, element + 1e-2 * most));
    },
  };
}

/** NaN for what is not known to five digits. */
function middleOf({ lo, hi, nan }: Enclosure): number {
  const middle = (lo + hi) / 2;
  return !nan && hi - lo <= 1e-5 * Math.abs(middle) + 1e-30 ? middle : NaN;
}

function caseOf(
  cell: Cell,
  sizes: readonly [batch: number, time: number, hidden: number],
  isOfCells = false,
): OpCase {
  const [batch, time, hidden] = sizes;
  const biases = cell === "gru" ? 4 : GATES[cell];
  // Away from where relu has no derivative.
  const from = cell === "relu" ? 0.1 : -1;
  return {
    name: `LA-06 recurrent ${cell} of ${sizes.join("x")}${isOfCells ? ", the last cells" : ""}`,
    operands: [
      f32([batch, time, GATES[cell] * hidden], from, 1),
      f32([GATES[cell] * hidden, hidden], from, 1),
      f32([biases * hidden], from, 1),
      f32([batch, hidden], from, 1),
      ...cell === "lstm" ? [f32([batch, hidden])] : [],
    ],
    build([x, weights, bias, state, cells]) {
      if (x === undefined || weights === undefined || bias === undefined || state === undefined) {
        throw new Error("An operand is missing");
      }
      const states = recurrent(cell, { x, weights, bias, state, cells });
      if (!isOfCells) return states;
      // Both results at once, as a loss over states and cells has it.
      return add(recurrentLastCells(states), mul(sum(states, { axes: 1 }), 0.5));
    },
  };
}

/** A layer of leaves, but for its input. */
function randomLayer(maker: GraphMaker, cell: Cell): Value {
  const [batch, time, hidden] = [2, maker.random.pick([1, 3]), maker.random.pick([3, 4])];
  const leaf = (shape: readonly number[]): Value => maker.leaf("f32", shape);
  return recurrent(cell, {
    x: leafLike(maker, [batch, time, GATES[cell] * hidden]),
    weights: leaf([GATES[cell] * hidden, hidden]),
    bias: leaf([(cell === "gru" ? 4 : GATES[cell]) * hidden]),
    state: leaf([batch, hidden]),
    cells: cell === "lstm" ? leaf([batch, hidden]) : undefined,
  });
}

/** Twins of `src/graph/ops/recurrent`. */
export const recurrentTwins: OpTwins = {
  recurrent: {
    ...twinOf((value, inputs) => run(value, inputs).states),
    use: (maker) => randomLayer(maker, maker.random.pick(["lstm", "gru", "tanh", "relu"] as const)),
    cases: [
      caseOf("lstm", [2, 3, 5]),
      caseOf("lstm", [3, 2, 4]),
      caseOf("lstm", [2, 3, 3], true),
      caseOf("gru", [2, 3, 5]),
      caseOf("gru", [3, 2, 4]),
      caseOf("tanh", [2, 4, 3]),
      caseOf("relu", [2, 3, 4]),
    ],
  },
  recurrentKept: twinOf((value, [, ...inputs]) => run(value, inputs).kept),
  recurrentLastCells: {
    use: (maker) => recurrentLastCells(randomLayer(maker, "lstm")),
    evaluate: (value, [kept = []]) => lastCells(value, kept),
    enclose: (value, [kept = []]) => lastCells(value, kept),
  },
  recurrentGradient: twinOf((value, inputs) => back(value, inputs).x),
  recurrentCarry: twinOf((value, [, ...inputs]) => back(value, inputs).carry),
};

function lastCells<T>(value: Value, kept: ArrayLike<T>): T[] {
  const { cell, batch, time, hidden } = sizesOf(value);
  const width = KEPT[cell].length;
  return Array.from({ length: batch * hidden }, (_, index) => {
    const [row, unit] = [Math.floor(index / hidden), index % hidden];
    return at(kept, ((row * time + time - 1) * width + KEPT[cell].indexOf("c")) * hidden + unit);
  });
}
