import { checkOptions } from "../../../base/options/options.ts";
import { type LstmState, type RecurrentLayer, recurrentLayer } from "./recurrent_layer.ts";
import { RECURRENT_OPTIONS, type RecurrentOptions } from "./recurrent_options.ts";

/**
 * Long short-term memory (Hochreiter and Schmidhuber 1997) over a sequence: f32 `[batch, time, inputs]` to `[batch,
 * time, hidden]`. Gates, biases, first values and the names of parameters are PyTorch's: for layer k
 * `weight_ih_lk` `[4 hidden, inputs]`, `weight_hh_lk` `[4 hidden, hidden]`, `bias_ih_lk` and `bias_hh_lk`, of i, f, g
 * and o in turn; those of the other direction end in `_reverse`.
 *
 * `withState` takes and gives the state, for sequences that go on in the next batch.
 *
 * @example
 * ```ts
 * const memory = nn.lstm(8, 32, { layers: 2, returns: "last" });
 * const model = nn.sequential(memory, nn.linear(32, 3));
 * ```
 */
export function lstm(
  inputs: number,
  hidden: number,
  options: RecurrentOptions = {},
): RecurrentLayer<LstmState> {
  checkOptions("lstm()", options, RECURRENT_OPTIONS, '{ layers: 2, returns: "last" }');
  return recurrentLayer(
    { name: `lstm(${inputs}, ${hidden})`, cell: "lstm", gates: 4, inputs, hidden },
    options,
  );
}
