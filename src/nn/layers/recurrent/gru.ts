import { checkOptions } from "../../../base/options/options.ts";
import { type RecurrentLayer, recurrentLayer } from "./recurrent_layer.ts";
import { RECURRENT_OPTIONS, type RecurrentOptions } from "./recurrent_options.ts";

/**
 * Gated recurrent units (Cho and others 2014) over a sequence: f32 `[batch, time, inputs]` to `[batch, time, hidden]`.
 * As in PyTorch, the gates are r, z and n, and r is applied to the product of state and weights with its bias: `n =
 * tanh(W_in x + b_in + r (W_hn h + b_hn))`, `h = (1 - z) n + z h`. Parameters are called and begin as those of
 * `lstm`, for three gates.
 */
export function gru(inputs: number, hidden: number, options: RecurrentOptions = {}): RecurrentLayer {
  checkOptions("gru()", options, RECURRENT_OPTIONS, '{ layers: 2, returns: "last" }');
  return recurrentLayer(
    { name: `gru(${inputs}, ${hidden})`, cell: "gru", gates: 3, inputs, hidden },
    options,
  );
}
