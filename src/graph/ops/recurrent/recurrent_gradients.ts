import { CELLS } from "../../../kernels/recurrent/cells.ts";
import {
  recurrentBackward,
  type RecurrentGradientOf,
} from "../../../kernels/recurrent/recurrent_backward.ts";
import type { RecurrentSizes, RecurrentVariant } from "../../../kernels/recurrent/recurrent_sizes.ts";
import { createValue } from "../../create_value.ts";
import { memoryOf, stepsOf } from "../../kernel_steps.ts";
import { type Binding, item, type OpDefinition, type VariantChoices } from "../../op.ts";
import type { Value } from "../../value.ts";
import { add, mul } from "../arithmetic.ts";
import { matmul } from "../matmul.ts";
import { concat } from "../movement/concat.ts";
import { slice } from "../movement/slice.ts";
import { sum } from "../sum.ts";
import { reshape } from "../views.ts";

/** Attributes of the ops of a recurrent layer. */
export type RecurrentAttributes = { readonly sizes: RecurrentSizes };

/** Those of its gradient. */
export type RecurrentGradientAttributes = RecurrentAttributes & { readonly of: RecurrentGradientOf };

/** The variants of the kernels of recurrent layers. */
export const RECURRENT_VARIANTS: VariantChoices<RecurrentVariant> = {
  all: ["uniform", "storage"],
  cpu: "uniform",
  gpu: "storage",
};

/** What the kernel of `states` leaves for the way back: `[batch, time, kept * hidden]`. */
export function recurrentKept(states: Value): Value {
  const { sizes } = states.attributes as RecurrentAttributes;
  const { kept } = CELLS[sizes.cell];
  if (kept.length === 1) return states;
  const shape = [sizes.batch, sizes.time, kept.length * sizes.hidden];
  return createValue(recurrentKeptOp, [states, ...states.inputs], { sizes }, "f32", shape);
}

/** The gradients of the inputs of `states`, given that of all states or of the last cells. */
export function recurrentInputGradients(
  states: Value,
  sizes: RecurrentSizes,
  outGrad: Value,
  of: RecurrentGradientOf,
): Value[] {
  const { cell, batch, time, hidden } = sizes;
  const [weights, state, cells] = [1, 3, 4].map((index) => states.inputs[index]);
  if (weights === undefined || state === undefined) throw new TypeError("A recurrent layer has weights");
  const { gates, before } = CELLS[cell];
  const kept = recurrentKept(states);
  const read = [outGrad, weights, kept, ...cells === undefined ? [] : [cells]];
  const ofX = createValue(recurrentGradientOp, read, { sizes, of }, "f32", [batch, time, gates * hidden]);
  const carry = before === "none"
    ? undefined
    : createValue(recurrentCarryOp, [ofX, ...read], { sizes, of }, "f32", [batch, hidden]);
  const ofProduct = cell === "gru" ? throughReset(ofX, kept, hidden) : ofX;
  const rows = batch * time;
  const ofWeights = matmul(
    reshape(ofProduct, [rows, gates * hidden]),
    reshape(statesBefore(states, state), [rows, hidden]),
    { transposeA: true },
  );
  const first = reshape(slice(ofProduct, { axis: 1, end: 1 }), [batch, gates * hidden]);
  const throughWeights = matmul(first, weights);
  const ofBias = sum(ofX, { axes: [0, 1] });
  return [
    ofX,
    ofWeights,
    cell === "gru"
      ? concat([ofBias, sum(slice(ofProduct, { axis: 2, start: 2 * hidden }), { axes: [0, 1] })])
      : ofBias,
    cell === "gru" && carry !== undefined ? add(throughWeights, carry) : throughWeights,
    ...cell === "lstm" && carry !== undefined ? [carry] : [],
  ];
}

/** The gradient of a gru's product of state and weights: that of its third gate went through the reset gate. */
function throughReset(ofX: Value, kept: Value, hidden: number): Value {
  const reset = slice(kept, { axis: 2, end: hidden });
  const third = mul(slice(ofX, { axis: 2, start: 2 * hidden }), reset);
  return concat([slice(ofX, { axis: 2, end: 2 * hidden }), third], { axis: 2 });
}

/** The state before each step. */
function statesBefore(states: Value, state: Value): Value {
  const [batch, time, hidden] = [0, 1, 2].map((axis) => item(states.shape, axis)) as [number, number, number];
  const first = reshape(state, [batch, 1, hidden]);
  return time === 1 ? first : concat([first, slice(states, { axis: 1, end: time - 1 })], { axis: 1 });
}

function noGradient(): never {
  throw new TypeError(
    "A recurrent layer's gradient has no gradient; compose the layer of matmul, sigmoid and tanh where gradients of " +
      "gradients are wanted",
  );
}

/** What the kernel of the first input leaves. The others are what it is a function of. */
export const recurrentKeptOp: OpDefinition<RecurrentAttributes> = {
  name: "recurrentKept",
  gradient: noGradient,
  lowering: { kind: "companion" },
};

/** The gradient of the input's part of the gates: of its gradient, the weights, what was kept, and the first cells. */
export const recurrentGradientOp: OpDefinition<RecurrentGradientAttributes> = {
  name: "recurrentGradient",
  gradient: noGradient,
  lowering: {
    kind: "kernel",
    steps(value, context) {
      const { sizes, of } = value.attributes;
      const [outGradient, weights, kept, cells] = value.inputs.map((input) => context.regionOf(input));
      if (outGradient === undefined || weights === undefined || kept === undefined) {
        throw new TypeError("The gradient of a recurrent layer has three operands or four");
      }
      const carry = CELLS[sizes.cell].before === "none"
        ? undefined
        : context.companionOf(value) ?? context.scratch("carry", 4 * sizes.batch * sizes.hidden);
      const steps = recurrentBackward<Binding>(
        { outGradient, weights, kept, cells, out: context.regionOf(value), carry },
        sizes,
        of,
        context.variant("recurrent", RECURRENT_VARIANTS),
        memoryOf(context),
      );
      return stepsOf(steps);
    },
  },
};

/** What the kernel of the first input leaves before the first step. The others are what it is a function of. */
export const recurrentCarryOp: OpDefinition<RecurrentGradientAttributes> = {
  name: "recurrentCarry",
  gradient: noGradient,
  lowering: { kind: "companion" },
};
