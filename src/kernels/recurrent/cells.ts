import { SIGMOID, TANH } from "../elementwise/curves.ts";
import { expressionFunctionsWgsl, expressionTypesWgsl } from "../elementwise/expression_functions.ts";

/** `tanh` and `relu` are the two simple ones. */
export type RecurrentCell = "lstm" | "gru" | "tanh" | "relu";

/**
 * What a cell computes at one step, for four units of a row, as statements of WGSL.
 *
 * Names: `x_g` is gate g of what comes from the input, `bias_g` its bias, `sum_g` the product of the state before and
 * the recurrent weights; `before` what the cell has from the step before; `h` the new state. On the way back `dh` is
 * the gradient of `h`, `carry` what the step behind leaves, `next_carry` what this one leaves, where there is a
 * `before`; `d_g` is the gradient of `x_g`, and `s_g` that of `sum_g`.
 */
export interface CellWgsl {
  /** Gates of the input and of the recurrent weights, and vectors of the bias. */
  readonly gates: number;
  readonly biases: number;
  /** Whether `before` is what the cell kept as `c`, the state itself, or nothing. */
  readonly before: "cell" | "state" | "none";
  /** What the way back needs of each step, in this order; of the simple ones it is the state itself. */
  readonly kept: readonly string[];
  readonly forward: readonly string[];
  readonly backward: readonly string[];
}

function simple(forward: string, backward: string): CellWgsl {
  return {
    gates: 1,
    biases: 1,
    before: "none",
    kept: ["h"],
    forward: ["let a = x_0 + bias_0 + sum_0;", `let h = ${forward};`],
    backward: [`let d_0 = ${backward};`, "let s_0 = d_0;"],
  };
}

/** Each cell. Gates and formulas are PyTorch's. */
export const CELLS: Readonly<Record<RecurrentCell, CellWgsl>> = {
  // i, f, g, o.
  lstm: {
    gates: 4,
    biases: 4,
    before: "cell",
    kept: ["i", "f", "g", "o", "c"],
    forward: [
      "let i = sigmoid(x_0 + bias_0 + sum_0);",
      "let f = sigmoid(x_1 + bias_1 + sum_1);",
      "let g = tanh_of(x_2 + bias_2 + sum_2);",
      "let o = sigmoid(x_3 + bias_3 + sum_3);",
      "let c = f * before + i * g;",
      "let h = o * tanh_of(c);",
    ],
    backward: [
      "let u = tanh_of(c);",
      "let dc = carry + dh * o * (Float(1.0) - u * u);",
      "let d_0 = dc * g * i * (Float(1.0) - i);",
      "let d_1 = dc * before * f * (Float(1.0) - f);",
      "let d_2 = dc * i * (Float(1.0) - g * g);",
      "let d_3 = dh * u * o * (Float(1.0) - o);",
      "let next_carry = dc * f;",
      ...[0, 1, 2, 3].map((gate) => `let s_${gate} = d_${gate};`),
    ],
  },
  // r, z, n; the reset gate is applied to the product of the state, whose bias is the fourth one.
  gru: {
    gates: 3,
    biases: 4,
    before: "state",
    kept: ["r", "z", "n", "q", "before"],
    forward: [
      "let r = sigmoid(x_0 + bias_0 + sum_0);",
      "let z = sigmoid(x_1 + bias_1 + sum_1);",
      "let q = sum_2 + bias_3;",
      "let n = tanh_of(x_2 + bias_2 + r * q);",
      "let h = (Float(1.0) - z) * n + z * before;",
    ],
    backward: [
      "let whole = dh + carry;",
      "let d_1 = whole * (before - n) * z * (Float(1.0) - z);",
      "let d_2 = whole * (Float(1.0) - z) * (Float(1.0) - n * n);",
      "let d_0 = d_2 * q * r * (Float(1.0) - r);",
      "let next_carry = whole * z;",
      "let s_0 = d_0;",
      "let s_1 = d_1;",
      "let s_2 = d_2 * r;",
    ],
  },
  tanh: simple("tanh_of(a)", "dh * (Float(1.0) - h * h)"),
  relu: simple("select(select(Float(), a, a > Float()), a, is_nan(a))", "select(Float(), dh, h > Float())"),
};

/** The functions that cells call. */
export const CELL_FUNCTIONS_WGSL: string = expressionTypesWgsl(4) +
  expressionFunctionsWgsl([TANH, SIGMOID], 4);
