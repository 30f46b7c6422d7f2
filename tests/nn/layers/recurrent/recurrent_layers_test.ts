import { describe, expect, test } from "bun:test";
import { gradients } from "../../../../src/graph/autodiff.ts";
import { add, square } from "../../../../src/graph/ops/arithmetic.ts";
import { slice } from "../../../../src/graph/ops/movement/slice.ts";
import { concat } from "../../../../src/graph/ops/movement/concat.ts";
import { constant, input } from "../../../../src/graph/ops/sources.ts";
import { sum } from "../../../../src/graph/ops/sum.ts";
import { reshape } from "../../../../src/graph/ops/views.ts";
import {
  filled,
  gru,
  type Layer,
  lstm,
  type LstmState,
  type RecurrentLayer,
  type RecurrentOptions,
  relu,
  remat,
  Scope,
  sequential,
  simpleRnn,
} from "../../../../src/nn/nn.ts";
import { sizeOf } from "../../../../src/graph/value.ts";
import { HostTensor } from "../../../../src/tensor/host_tensor.ts";
import { type Cell, GATES, runCells } from "../../../graph/ops/recurrent/recurrent_reference.ts";
import { gpuTest } from "../../../helpers/gpu.ts";
import { interpret } from "../../../helpers/interpreter.ts";
import { forward } from "../../forward.ts";
import { checkLayer, type Parameters, shapesOf } from "../check_layer.ts";
import { checkLayerTraining } from "../check_layer_training.ts";

const [BATCH, TIME, INPUTS, HIDDEN] = [2, 4, 3, 5];

type Make = (inputs: number, hidden: number, options?: RecurrentOptions) => RecurrentLayer;

const MAKE: Readonly<Record<Cell, Make>> = {
  lstm: (inputs, hidden, options) => lstm(inputs, hidden, options) as Layer as RecurrentLayer,
  gru,
  tanh: simpleRnn,
  relu: (inputs, hidden, options) => simpleRnn(inputs, hidden, { ...options, nonlinearity: "relu" }),
};

/** Sequences: for each row of the batch its steps, each of some width. */
type Sequences = readonly (readonly (readonly number[])[])[];

/** One layer in one direction, by its parameters' names. */
function runDirection(
  cell: Cell,
  x: Sequences,
  parameters: Parameters,
  suffix: string,
  hidden: number,
): Sequences {
  const gates = GATES[cell];
  const of = (name: string, size: number): readonly number[] =>
    parameters[`${name}_${suffix}`] ?? Array<number>(size).fill(0);
  const weight = of("weight_ih", 0);
  const [ofInput, ofState] = [of("bias_ih", gates * hidden), of("bias_hh", gates * hidden)];
  const isApart = (row: number): boolean => cell === "gru" && row >= 2 * hidden;
  const bias = [
    ...ofInput.map((value, row) => value + (isApart(row) ? 0 : ofState[row] ?? NaN)),
    ...cell === "gru" ? ofState.slice(2 * hidden) : [],
  ];
  const [batch, time] = [x.length, x[0]?.length ?? 0];
  const projected = x.flat().flatMap((step) =>
    Array.from(
      { length: gates * hidden },
      (_, row) => step.reduce((sum, value, at) => sum + value * (weight[row * step.length + at] ?? NaN), 0),
    )
  );
  const none = new Float64Array(batch * hidden);
  const { states } = runCells({ cell, batch, time, hidden }, projected, of("weight_hh", 0), bias, none, none);
  return sequencesOf([...states], batch, hidden);
}

function sequencesOf(numbers: readonly number[], batch: number, width: number): Sequences {
  const time = numbers.length / batch / width;
  return Array.from(
    { length: batch },
    (_, row) =>
      Array.from(
        { length: time },
        (_, step) => numbers.slice((row * time + step) * width, (row * time + step + 1) * width),
      ),
  );
}

/** The outputs of all layers, and of the last one the last state of each direction. */
function reference(cell: Cell, options: RecurrentOptions) {
  return (x: readonly number[], parameters: Parameters): readonly number[] => {
    const directions = options.bidirectional === true ? ["", "_reverse"] : [""];
    let value = sequencesOf(x, BATCH, INPUTS);
    let last: Sequences[] = [];
    for (let layer = 0; layer < (options.layers ?? 1); layer++) {
      last = directions.map((direction) => {
        const turned = (of: Sequences): Sequences =>
          direction === "" ? of : of.map((steps) => steps.toReversed());
        return turned(runDirection(cell, turned(value), parameters, `l${layer}${direction}`, HIDDEN));
      });
      value = value.map((steps, row) =>
        steps.map((_, step) => last.flatMap((each) => each[row]?.[step] ?? []))
      );
    }
    if (options.returns !== "last") return value.flat(2);
    return value.flatMap((_, row) =>
      last.flatMap((each, direction) => each[row]?.at(direction === 0 ? -1 : 0) ?? [])
    );
  };
}

function parametersOf(cell: Cell, { layers = 1, bidirectional = false, bias = true }: RecurrentOptions) {
  const rows = GATES[cell] * HIDDEN;
  const directions = bidirectional ? ["", "_reverse"] : [""];
  const shapes: Record<string, readonly number[]> = {};
  for (let layer = 0; layer < layers; layer++) {
    for (const direction of directions) {
      const suffix = `l${layer}${direction}`;
      shapes[`weight_ih_${suffix}`] = [rows, layer === 0 ? INPUTS : directions.length * HIDDEN];
      shapes[`weight_hh_${suffix}`] = [rows, HIDDEN];
      if (!bias) continue;
      shapes[`bias_ih_${suffix}`] = [rows];
      shapes[`bias_hh_${suffix}`] = [rows];
    }
  }
  return shapes;
}

/** What is trained for 20 steps, and what is compared once with the gradients of everything. */
const TRAINED: Readonly<Record<string, Cell>> = { lstm: "lstm", gru: "gru", simpleRnn: "tanh" };

const COMPARED: readonly (readonly [string, Cell, RecurrentOptions])[] = [
  ["lstm of two layers in both directions, the last state", "lstm", {
    layers: 2,
    bidirectional: true,
    returns: "last",
  }],
  ["gru of two layers, without biases", "gru", { layers: 2, bias: false }],
  ["simpleRnn with relu in both directions", "relu", { bidirectional: true }],
];

describe("LA-06 recurrent layers", () => {
  for (const [name, cell] of Object.entries(TRAINED)) {
    gpuTest(`LA-06 ${name} trains 20 steps as in float64`, async (gpu) => {
      await checkLayerTraining(gpu, {
        layer: MAKE[cell](INPUTS, HIDDEN),
        shape: [BATCH, TIME, INPUTS],
        outputShape: [BATCH, TIME, HIDDEN],
        reference: reference(cell, {}),
      });
    });
  }

  for (const [name, cell, options] of COMPARED) {
    const width = HIDDEN * (options.bidirectional === true ? 2 : 1);
    gpuTest(`LA-06 ${name} is its formula, with its gradients`, async (gpu) => {
      await checkLayer(gpu, {
        layer: MAKE[cell](INPUTS, HIDDEN, options),
        shape: [BATCH, TIME, INPUTS],
        parameters: parametersOf(cell, options),
        outputShape: options.returns === "last" ? [BATCH, width] : [BATCH, TIME, width],
        reference: reference(cell, options),
      });
    });
  }

  gpuTest("LA-06 a sequence in two halves, with the state in between, is the whole one", async (gpu) => {
    const x = HostTensor.from(
      Array.from({ length: 24 }, (_, at) => Math.sin(at)),
      [BATCH, TIME, INPUTS],
      "f32",
    );
    const bound = (layer: RecurrentLayer<LstmState>): Layer => (value, scope) => {
      const half = TIME / 2;
      const first = layer.withState(slice(value, { axis: 1, end: half }), scope);
      const second = layer.withState(slice(value, { axis: 1, start: half }), scope, first.state);
      expect(second.state.hidden.shape).toEqual([2, BATCH, HIDDEN]);
      // The state behind is given too, so that both runs have to agree in it.
      return withStates(concat([first.output, second.output], { axis: 1 }), second.state);
    };
    const make = () => lstm(INPUTS, HIDDEN, { layers: 2 });
    const whole: Layer = (value, scope) => {
      const { output, state } = make().withState(value, scope);
      return withStates(output, state);
    };
    expect(await forward(gpu, bound(make()), x)).toEqual(await forward(gpu, whole, x));
  });

  gpuTest("LA-06 gradients flow through the state that is given", async (gpu) => {
    const state = (at: number) => ({
      shape: [1, BATCH, HIDDEN],
      numbers: Array.from({ length: BATCH * HIDDEN }, (_, index) => Math.fround(Math.sin(index + at))),
    });
    const [hidden, cell] = [state(1), state(2)];
    const layer: Layer = (value, scope) => {
      const given = {
        hidden: constant(HostTensor.from(hidden.numbers, hidden.shape, "f32")),
        cell: constant(HostTensor.from(cell.numbers, cell.shape, "f32")),
      };
      const scaled = {
        hidden: scope.parameter("hidden", [1, BATCH, HIDDEN], filled(0)),
        cell: scope.parameter("cell", [1, BATCH, HIDDEN], filled(0)),
      };
      return lstm(INPUTS, HIDDEN).withState(value, scope, {
        hidden: add(scaled.hidden, given.hidden),
        cell: add(scaled.cell, given.cell),
      }).output;
    };
    await checkLayer(gpu, {
      layer,
      shape: [BATCH, TIME, INPUTS],
      parameters: {
        hidden: [1, BATCH, HIDDEN],
        cell: [1, BATCH, HIDDEN],
        ...parametersOf("lstm", {}),
      },
      outputShape: [BATCH, TIME, HIDDEN],
      reference: (x, parameters) => {
        const plus = (numbers: readonly number[], name: string) =>
          numbers.map((value, at) => value + (parameters[name]?.[at] ?? NaN));
        const weight = parameters.weight_ih_l0 ?? [];
        const bias = (parameters.bias_ih_l0 ?? []).map((value, at) =>
          value + (parameters.bias_hh_l0?.[at] ?? NaN)
        );
        const projected = Array.from({ length: BATCH * TIME * 4 * HIDDEN }, (_, at) => {
          const [line, row] = [Math.floor(at / (4 * HIDDEN)), at % (4 * HIDDEN)];
          let total = 0;
          for (let i = 0; i < INPUTS; i++) {
            total += (x[line * INPUTS + i] ?? NaN) * (weight[row * INPUTS + i] ?? NaN);
          }
          return total;
        });
        const sizes = { cell: "lstm", batch: BATCH, time: TIME, hidden: HIDDEN } as const;
        return [
          ...runCells(
            sizes,
            projected,
            parameters.weight_hh_l0 ?? [],
            bias,
            plus(hidden.numbers, "hidden"),
            plus(cell.numbers, "cell"),
          ).states,
        ];
      },
    });
  });

  gpuTest(
    "LA-06 dropout between layers is a function of seed and step, and none in evaluation",
    async (gpu) => {
      const x = HostTensor.from(
        Array.from({ length: 24 }, (_, at) => Math.sin(at)),
        [BATCH, TIME, INPUTS],
        "f32",
      );
      const run = (dropout: number, isTraining: boolean, step: number): Promise<number[]> =>
        forward(gpu, lstm(INPUTS, HIDDEN, { layers: 2, dropout }), x, { isTraining, step });
      const plain = await run(0, true, 0);
      const dropped = await run(0.5, true, 0);
      expect(dropped).not.toEqual(plain);
      expect(await run(0.5, true, 0)).toEqual(dropped);
      expect(await run(0.5, true, 1)).not.toEqual(dropped);
      expect(await run(0.5, false, 0)).toEqual(plain);
    },
  );

  test("LA-06 a layer that is called twice has the same parameters again", () => {
    const layer = gru(HIDDEN, HIDDEN);
    const once = shapesOf(layer, [2, 4, HIDDEN]);
    expect(shapesOf((x, scope) => layer(layer(x, scope), scope), [2, 4, HIDDEN])).toEqual(once);
  });

  test("LA-06 parameters begin within 1 / sqrt(hidden), as initialisers say where they are given", () => {
    const scope = Scope.root({ isTraining: true });
    const ones = filled(1);
    lstm(3, 16, { recurrentInitializer: ones, biasInitializer: ones })(input("x", "f32", [2, 4, 3]), scope);
    const given = scope.parameters.filter(({ initializer }) => initializer === ones).map(({ name }) => name);
    expect(given).toEqual(["weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]);
  });

  test("LA-06 what does not fit is refused with the layer's place and both shapes", () => {
    expect(() => shapesOf(sequential(relu(), lstm(3, 5)), [2, 4, 6])).toThrow(
      'lstm(3, 5) at "1": takes [batch, time, 3], found [2, 4, 6]',
    );
    expect(() => shapesOf(gru(3, 5), [2, 3])).toThrow("gru(3, 5): takes [batch, time, 3], found [2, 3]");
    expect(() => shapesOf(simpleRnn(3, 5), [2, 0, 3])).toThrow(
      "simpleRnn(3, 5): takes at least one step, found [2, 0, 3]",
    );
    const given = (state: object) => () =>
      lstm(3, 5).withState(
        input("x", "f32", [2, 4, 3]),
        Scope.root({ isTraining: true }).child("a"),
        state as LstmState,
      );
    const hidden = input("h", "f32", [1, 2, 5]);
    expect(given({ hidden })).toThrow('lstm(3, 5) at "a": the state has cell f32 [1, 2, 5], found none');
    expect(given({ hidden: reshape(hidden, [2, 5]), cell: hidden })).toThrow(
      "the state has hidden f32 [1, 2, 5], found f32 [2, 5]",
    );
    expect(() => lstm(3, 0)).toThrow(
      "lstm(3, 0): the number of hidden units is a whole number from 1, found 0",
    );
    expect(() => gru(3, 5, { layers: 1.5 })).toThrow(
      "the number of layers is a whole number from 1, found 1.5",
    );
    expect(() => gru(3, 5, { dropout: 0.5 })).toThrow("dropout is between layers, and there is one");
    expect(() => gru(3, 5, { layers: 2, dropout: 1 })).toThrow("dropout is from 0 to below 1, found 1");
    expect(() => lstm(3, 5, { returns: "all" as "last" })).toThrow(
      'returns is "sequence" or "last", found "all"',
    );
    expect(() => simpleRnn(3, 5, { nonlinearity: "sigmoid" as "relu" })).toThrow(
      'nonlinearity is "tanh" or "relu", found "sigmoid"',
    );
  });

  test("LA-06 a recurrent layer inside of remat has the same gradients", () => {
    const x = input("x", "f32", [BATCH, TIME, INPUTS]);
    const slopes = (layer: Layer): Float64Array[] => {
      const scope = Scope.root({ isTraining: true });
      const loss = sum(square(layer(x, scope)));
      const values = scope.parameters.map(({ value }) => value);
      const elements = (count: number): number[] => Array.from({ length: count }, (_, at) => Math.sin(at));
      return interpret([loss, ...gradients(loss, [x, ...values])], {
        inputs: { x: elements(BATCH * TIME * INPUTS) },
        parameters: Object.fromEntries(
          scope.parameters.map(({ name, value }) => [name, elements(sizeOf(value))]),
        ),
      });
    };
    const options = { layers: 2, bidirectional: true };
    expect(slopes(remat(lstm(INPUTS, HIDDEN, options)))).toEqual(slopes(lstm(INPUTS, HIDDEN, options)));
    expect(slopes(remat(gru(INPUTS, HIDDEN)))).toEqual(slopes(gru(INPUTS, HIDDEN)));
  });
});

/** Output and state in one tensor: `[batch, …]`. */
function withStates(output: ReturnType<Layer>, { hidden, cell }: LstmState): ReturnType<Layer> {
  return concat([output, hidden, cell].map((value) => reshape(value, [BATCH, -1])), { axis: 1 });
}
