import type { Given } from "../../../base/options/options.ts";
import { add } from "../../../graph/ops/arithmetic.ts";
import { zeros } from "../../../graph/ops/fill.ts";
import { matmul } from "../../../graph/ops/matmul.ts";
import { concat, stack } from "../../../graph/ops/movement/concat.ts";
import { flip } from "../../../graph/ops/movement/flip.ts";
import { slice } from "../../../graph/ops/movement/slice.ts";
import { dropout as dropoutOf } from "../../../graph/ops/random.ts";
import { recurrent, recurrentLastCells } from "../../../graph/ops/recurrent/recurrent.ts";
import { reshape } from "../../../graph/ops/views.ts";
import type { Value } from "../../../graph/value.ts";
import { formatShape, shapesEqual } from "../../../tensor/shape.ts";
import { type Initializer, uniform } from "../../initializers.ts";
import type { DecodingCache } from "../../decoding_cache.ts";
import { callLayer } from "../../layer_call.ts";
import type { Scope } from "../../scope.ts";
import { placeOf, requireInput, requireSize } from "../require_input.ts";
import type { RecurrentOptions } from "./recurrent_options.ts";

/** The state of a gru or of a simple recurrent layer. */
export interface RecurrentState {
  /** `[layers * directions, batch, hidden]`; of each layer both directions, forward first, as in PyTorch. */
  readonly hidden: Value;
}

/** The state of an lstm. */
export interface LstmState extends RecurrentState {
  /** The cells, of the same shape. */
  readonly cell: Value;
}

/** A layer over a sequence, whose state may be given and taken. */
export interface RecurrentLayer<State extends RecurrentState = RecurrentState> {
  /** The output for `[batch, time, inputs]`, from a state of zeros. */
  (x: Value, scope: Scope): Value;
  /** The output and the state after the last step, from the state that is given, or from zeros. */
  withState(x: Value, scope: Scope, state?: State): { readonly output: Value; readonly state: State };
}

/** What the cells of a layer are, and how it is called. */
export interface RecurrentKind {
  readonly name: string;
  readonly cell: "lstm" | "gru" | "tanh" | "relu";
  readonly gates: number;
  readonly inputs: number;
  readonly hidden: number;
}

type Settings =
  & RecurrentKind
  & Given<Pick<RecurrentOptions, "layers" | "bidirectional" | "bias" | "dropout" | "returns">>
  & { readonly ofInput: Initializer; readonly ofState: Initializer; readonly biases: Initializer };

/** What a layer of one direction gives. */
interface Run {
  readonly output: Value;
  /** After the last step, `[batch, hidden]`. */
  readonly hidden: Value;
  readonly cell: Value | undefined;
}

/** The layers of a kind, for options that are checked by name. */
export function recurrentLayer<State extends RecurrentState>(
  kind: RecurrentKind,
  options: RecurrentOptions,
): RecurrentLayer<State> {
  const settings = settingsOf(kind, options);
  const run = (
    x: Value,
    outer: Scope,
    state: Partial<LstmState> | undefined,
  ): { output: Value; state: LstmState | RecurrentState } => {
    const scope = outer.callOf(layer);
    let after: LstmState | RecurrentState | undefined;
    const output = callLayer(kind.name, x, scope, () => {
      requireInput(kind.name, scope, x, ["batch", "time", kind.inputs]);
      if (x.shape[1] === 0) {
        throw new TypeError(
          `${placeOf(kind.name, scope)}: takes at least one step, found ${formatShape(x.shape)}`,
        );
      }
      const result = state === undefined && !settings.bidirectional && scope.cache !== undefined
        ? runOn(scope.cache, settings, x, scope)
        : runLayers(settings, x, scope, state);
      after = result.state;
      return result.output;
    });
    if (after === undefined) throw new TypeError(`${kind.name}: it was not run`);
    return { output, state: after };
  };
  const layer = ((x, scope) => run(x, scope, undefined).output) as RecurrentLayer<State>;
  layer.withState = (x, scope, state) => run(x, scope, state) as { output: Value; state: State };
  return layer;
}

function settingsOf(kind: RecurrentKind, options: RecurrentOptions): Settings {
  const { name, inputs, hidden } = kind;
  const { layers = 1, bidirectional = false, bias = true, dropout = 0, returns = "sequence" } = options;
  requireSize(name, "the number of inputs", inputs);
  requireSize(name, "the number of hidden units", hidden);
  requireSize(name, "the number of layers", layers);
  if (!(dropout >= 0 && dropout < 1)) {
    throw new RangeError(`${name}: dropout is from 0 to below 1, found ${dropout}`);
  }
  if (dropout > 0 && layers === 1) {
    throw new TypeError(
      `${name}: dropout is between layers, and there is one; put nn.dropout(${dropout}) behind it, or add layers`,
    );
  }
  if (returns !== "sequence" && returns !== "last") {
    throw new TypeError(`${name}: returns is "sequence" or "last", found ${JSON.stringify(returns)}`);
  }
  const bound = 1 / Math.sqrt(hidden);
  const {
    weightInitializer: ofInput = uniform(-bound, bound),
    recurrentInitializer: ofState = uniform(-bound, bound),
    biasInitializer: biases = uniform(-bound, bound),
  } = options;
  return { ...kind, layers, bidirectional, bias, dropout, returns, ofInput, ofState, biases };
}

/** As {@link runLayers}, from the state after the positions before, which it leaves for those that follow. */
function runOn(
  cache: DecodingCache,
  settings: Settings,
  x: Value,
  scope: Scope,
): { output: Value; state: LstmState | RecurrentState } {
  const shape = [settings.layers, x.shape[0] ?? 0, settings.hidden];
  const hidden = cache.state(shape);
  const cell = settings.cell === "lstm" ? cache.state(shape) : undefined;
  const before = { hidden: hidden.before, ...cell === undefined ? {} : { cell: cell.before } };
  const result = runLayers(settings, x, scope, before, (states) => cache.continues(states));
  hidden.keep(result.state.hidden);
  if ("cell" in result.state) cell?.keep(result.state.cell);
  return result;
}

function runLayers(
  settings: Settings,
  x: Value,
  scope: Scope,
  state: Partial<LstmState> | undefined,
  onStates: (states: Value) => void = () => {},
): { output: Value; state: LstmState | RecurrentState } {
  const { layers, bidirectional, dropout, returns } = settings;
  const directions = bidirectional ? ["", "_reverse"] : [""];
  const first = firstStates(settings, x, scope, state, layers * directions.length);
  const runs: Run[] = [];
  let value = x;
  let last: Run[] = [];
  for (let layer = 0; layer < layers; layer++) {
    if (layer > 0 && dropout > 0) {
      // Taken in evaluation too, so that the layers behind have the same streams in both.
      const stream = scope.randomStream();
      if (scope.isTraining) value = dropoutOf(value, { rate: dropout, stream });
    }
    const given = value;
    last = directions.map((direction, index) =>
      runDirection(
        settings,
        given,
        scope,
        `l${layer}${direction}`,
        first(layer * directions.length + index),
        onStates,
      )
    );
    runs.push(...last);
    value = beside(last.map(({ output }) => output));
  }
  const cells = runs.flatMap(({ cell }) => cell ?? []);
  const hidden = stack(runs.map((run) => run.hidden));
  return {
    output: returns === "last" ? beside(last.map((run) => run.hidden)) : value,
    state: cells.length > 0 ? { hidden, cell: stack(cells) } : { hidden },
  };
}

/** Side by side along the last axis. */
function beside(values: readonly Value[]): Value {
  return concat(values, { axis: -1 });
}

interface FirstState {
  readonly hidden: Value;
  readonly cell: Value | undefined;
}

/** The state of each layer and direction before the first step. */
function firstStates(
  { name, cell, hidden: units }: Settings,
  x: Value,
  scope: Scope,
  state: Partial<LstmState> | undefined,
  count: number,
): (index: number) => FirstState {
  const [batch = 0] = x.shape;
  const expected = [count, batch, units];
  const wanted = cell === "lstm" ? ["hidden", "cell"] as const : ["hidden"] as const;
  for (const part of state === undefined ? [] : wanted) {
    const found = state?.[part];
    if (found?.dtype === "f32" && shapesEqual(found.shape, expected)) continue;
    throw new TypeError(
      `${placeOf(name, scope)}: the state has ${part} f32 ${formatShape(expected)}, found ${
        found === undefined ? "none" : `${found.dtype} ${formatShape(found.shape)}`
      }`,
    );
  }
  const none = zeros([batch, units]);
  const at = (of: Value | undefined, index: number): Value =>
    of === undefined ? none : reshape(slice(of, { start: index, end: index + 1 }), [batch, units]);
  return (index) => ({
    hidden: at(state?.hidden, index),
    cell: cell === "lstm" ? at(state?.cell, index) : undefined,
  });
}

/** One layer in one direction. Parameters are called as in PyTorch, `weight_ih_l0` and so on. */
function runDirection(
  settings: Settings,
  x: Value,
  scope: Scope,
  suffix: string,
  first: FirstState,
  onStates: (states: Value) => void,
): Run {
  const { cell, gates, hidden } = settings;
  const isReverse = suffix.endsWith("reverse");
  const [, time = 0, width = 0] = x.shape;
  const ofInput = scope.parameter(`weight_ih_${suffix}`, [gates * hidden, width], settings.ofInput);
  const weights = scope.parameter(`weight_hh_${suffix}`, [gates * hidden, hidden], settings.ofState);
  const bias = biasOf(settings, scope, suffix);
  const states = recurrent(cell, {
    x: matmul(isReverse ? flip(x, { axes: 1 }) : x, ofInput, { transposeB: true }),
    weights,
    bias,
    state: first.hidden,
    cells: first.cell,
  });
  onStates(states);
  const [batch = 0] = x.shape;
  return {
    output: isReverse ? flip(states, { axes: 1 }) : states,
    hidden: reshape(slice(states, { axis: 1, start: time - 1 }), [batch, hidden]),
    cell: cell === "lstm" ? recurrentLastCells(states) : undefined,
  };
}

/** Both biases as one; of a gru, that of the state's part of the third gate stays apart, since r is applied to it. */
function biasOf({ cell, gates, hidden, bias, biases }: Settings, scope: Scope, suffix: string): Value {
  if (!bias) return zeros([(cell === "gru" ? 4 : gates) * hidden]);
  const ofInput = scope.parameter(`bias_ih_${suffix}`, [gates * hidden], biases);
  const ofState = scope.parameter(`bias_hh_${suffix}`, [gates * hidden], biases);
  if (cell !== "gru") return add(ofInput, ofState);
  const [summed, apart] = [{ end: 2 * hidden }, { start: 2 * hidden }] as const;
  return concat([
    add(slice(ofInput, summed), slice(ofState, summed)),
    slice(ofInput, apart),
    slice(ofState, apart),
  ]);
}
