import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { type RecurrentLayer, recurrentLayer } from "./recurrent_layer.ts";
import { RECURRENT_OPTIONS, type RecurrentOptions } from "./recurrent_options.ts";

/** Options of {@link simpleRnn}. */
export interface SimpleRnnOptions extends RecurrentOptions {
  /** What is applied to the sum. Default `"tanh"`. */
  readonly nonlinearity?: "tanh" | "relu" | undefined;
}

/** Every option of {@link SimpleRnnOptions}. */
export const SIMPLE_RNN_OPTIONS: OptionNames<SimpleRnnOptions> = { ...RECURRENT_OPTIONS, nonlinearity: true };

/**
 * A recurrent layer without gates (Elman 1990), PyTorch's `RNN`: `h = tanh(W_ih x + b_ih + W_hh h + b_hh)`, f32
 * `[batch, time, inputs]` to `[batch, time, hidden]`. Parameters are called and begin as those of `lstm`.
 */
export function simpleRnn(inputs: number, hidden: number, options: SimpleRnnOptions = {}): RecurrentLayer {
  const name = `simpleRnn(${inputs}, ${hidden})`;
  const { nonlinearity = "tanh", ...others } = checkOptions(
    "simpleRnn()",
    options,
    SIMPLE_RNN_OPTIONS,
    '{ nonlinearity: "relu" }',
  );
  if (nonlinearity !== "tanh" && nonlinearity !== "relu") {
    throw new TypeError(`${name}: nonlinearity is "tanh" or "relu", found ${JSON.stringify(nonlinearity)}`);
  }
  return recurrentLayer({ name, cell: nonlinearity, gates: 1, inputs, hidden }, others);
}
