import { CELLS, type RecurrentCell } from "../../../kernels/recurrent/cells.ts";
import { recurrentForward } from "../../../kernels/recurrent/recurrent_forward.ts";
import { formatShape, type Shape, shapesEqual } from "../../../tensor/shape.ts";
import { createValue, isResultOf } from "../../create_value.ts";
import { memoryOf, stepsOf } from "../../kernel_steps.ts";
import { type Binding, item, type OpDefinition } from "../../op.ts";
import type { Value } from "../../value.ts";
import { requireDType } from "../requirements.ts";
import {
  RECURRENT_VARIANTS,
  type RecurrentAttributes,
  recurrentInputGradients,
  recurrentKept,
} from "./recurrent_gradients.ts";

/** What a recurrent layer of one direction is computed from, all f32. */
export interface RecurrentInputs {
  /** The input's part of the gates, without a bias: `[batch, time, gates * hidden]`. */
  readonly x: Value;
  /** The recurrent weights, `[gates * hidden, hidden]`. */
  readonly weights: Value;
  /** `[gates * hidden]`; of a gru `[4 * hidden]`, the last part inside of the product with the reset gate. */
  readonly bias: Value;
  /** The state before the first step, `[batch, hidden]`. */
  readonly state: Value;
  /** The cells of an lstm before the first step, `[batch, hidden]`. */
  readonly cells?: Value | undefined;
}

/**
 * The states of a recurrent layer at every step, `[batch, time, hidden]`. Gates and formulas are PyTorch's: of an
 * lstm i, f, g, o; of a gru r, z, n, where r is applied to the product of the state. `tanh` and `relu` are simple.
 *
 * Each step is one dispatch each way where `hidden` is at most 128, and all steps share one pipeline. The gradient of
 * the weights is one product over all steps.
 */
export function recurrent(cell: RecurrentCell, inputs: RecurrentInputs): Value {
  if (!Object.hasOwn(CELLS, cell)) {
    throw new TypeError(
      `recurrent: a cell is one of ${Object.keys(CELLS).join(", ")}, found ${String(cell)}`,
    );
  }
  const { x, weights, bias, state, cells } = inputs;
  const { gates, biases } = CELLS[cell];
  const [batch = 0, time = 0, width = 0] = x.shape;
  const hidden = width / gates;
  const expected: [string, Value, Shape][] = [
    ["x", x, [batch, time, gates * hidden]],
    ["weights", weights, [gates * hidden, hidden]],
    ["bias", bias, [biases * hidden]],
    ["state", state, [batch, hidden]],
    ...cells === undefined ? [] : [["cells", cells, [batch, hidden]] as [string, Value, Shape]],
  ];
  for (const [name, value, shape] of expected) {
    requireDType(`recurrent ${cell}`, value, ["f32"]);
    if (Number.isInteger(hidden) && shapesEqual(value.shape, shape)) continue;
    throw new TypeError(
      `recurrent ${cell}: takes ${name} of shape ${formatShape(shape)}, found ${formatShape(value.shape)}`,
    );
  }
  if (time === 0 || hidden === 0) {
    throw new TypeError(
      `recurrent ${cell}: takes a sequence of at least one step and one unit, found ${formatShape(x.shape)}`,
    );
  }
  if ((cells === undefined) === (cell === "lstm")) {
    throw new TypeError(`recurrent ${cell}: an lstm is given cells, and no other is`);
  }
  const given = [x, weights, bias, state, ...cells === undefined ? [] : [cells]];
  return createValue(recurrentOp, given, { sizes: { cell, batch, time, hidden } }, "f32", [
    batch,
    time,
    hidden,
  ]);
}

/** The cells after the last step, `[batch, hidden]`, of the states that {@link recurrent} gave for an lstm. */
export function recurrentLastCells(states: Value): Value {
  if (!isResultOf(recurrentOp, states) || states.attributes.sizes.cell !== "lstm") {
    throw new TypeError(`recurrentLastCells: takes the states of an lstm, found a result of ${states.op}`);
  }
  const { sizes } = states.attributes;
  const kept = recurrentKept(states);
  return createValue(recurrentLastCellsOp, [kept, states, ...states.inputs], { sizes }, "f32", [
    sizes.batch,
    sizes.hidden,
  ]);
}

/** The states; the kernel leaves what the way back needs. */
export const recurrentOp: OpDefinition<RecurrentAttributes> = {
  name: "recurrent",
  gradient: (value, outGrad) => recurrentInputGradients(value, value.attributes.sizes, outGrad, "states"),
  lowering: {
    kind: "kernel",
    steps(value, context) {
      const [x, weights, bias, state, cells] = value.inputs.map((input) => context.regionOf(input));
      if (x === undefined || weights === undefined || bias === undefined || state === undefined) {
        throw new TypeError("A recurrent layer has four operands or five");
      }
      const steps = recurrentForward<Binding>(
        { x, weights, bias, state, cells, out: context.regionOf(value), kept: context.companionOf(value) },
        value.attributes.sizes,
        context.variant("recurrent", RECURRENT_VARIANTS),
        memoryOf(context),
      );
      return stepsOf(steps);
    },
  },
};

/** The last cells, in what was kept: the first input. The second is the states, and their inputs follow. */
export const recurrentLastCellsOp: OpDefinition<RecurrentAttributes> = {
  name: "recurrentLastCells",
  gradient: (value, outGrad) => [
    undefined,
    undefined,
    ...recurrentInputGradients(item(value.inputs, 1), value.attributes.sizes, outGrad, "lastCells"),
  ],
  lowering: {
    kind: "read",
    read: ({ attributes: { sizes: { cell, time, hidden } } }) => ({
      starts: [0, time - 1, CELLS[cell].kept.indexOf("c") * hidden],
      axes: [{ of: 0, step: 1 }, { of: 2, step: 1 }],
    }),
  },
};
