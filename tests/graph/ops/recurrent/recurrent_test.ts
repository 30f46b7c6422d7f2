import { describe, expect, test } from "bun:test";
import { gradients } from "../../../../src/graph/autodiff.ts";
import { Executable } from "../../../../src/graph/executable.ts";
import { add, mul } from "../../../../src/graph/ops/arithmetic.ts";
import { recurrent, recurrentLastCells } from "../../../../src/graph/ops/recurrent/recurrent.ts";
import { constant, input } from "../../../../src/graph/ops/sources.ts";
import { sum } from "../../../../src/graph/ops/sum.ts";
import type { Value } from "../../../../src/graph/value.ts";
import { HostTensor } from "../../../../src/tensor/host_tensor.ts";
import { elementCount } from "../../../../src/tensor/shape.ts";
import { gpuTest } from "../../../helpers/gpu.ts";
import { interpret } from "../../../helpers/interpreter.ts";
import { expectNear, inputsOf, noParameters, runValues } from "../../run_values.ts";
import { type Cell, GATES } from "./recurrent_reference.ts";

interface Layer {
  readonly inputs: Record<string, Value>;
  readonly elements: Record<string, number[]>;
  readonly states: Value;
  /** The states, and the gradients of all inputs. */
  readonly values: readonly Value[];
}

function layerOf(cell: Cell, batch: number, time: number, hidden: number): Layer {
  const gates = GATES[cell];
  const scale = 1 / Math.sqrt(hidden);
  const shapes: Record<string, readonly [shape: readonly number[], scale: number]> = {
    x: [[batch, time, gates * hidden], 1],
    weights: [[gates * hidden, hidden], scale],
    bias: [[(cell === "gru" ? 4 : gates) * hidden], 0.5],
    state: [[batch, hidden], 1],
    ...cell === "lstm" ? { cells: [[batch, hidden], 1] } : {},
  };
  const inputs = Object.fromEntries(
    Object.entries(shapes).map(([name, [shape]]) => [name, input(name, "f32", shape)]),
  );
  const elements = Object.fromEntries(
    Object.entries(shapes).map(([name, [shape, scale]], which) => [
      name,
      Array.from({ length: elementCount(shape) }, (_, at) => Math.fround(Math.sin(at * 0.7 + which) * scale)),
    ]),
  );
  const { x, weights, bias, state, cells } = inputs;
  if (x === undefined || weights === undefined || bias === undefined || state === undefined) {
    throw new Error("An input is missing");
  }
  const states = recurrent(cell, { x, weights, bias, state, cells });
  const loss = cell === "lstm"
    ? add(weighted(states), weighted(recurrentLastCells(states)))
    : weighted(states);
  return { inputs, elements, states, values: [states, ...gradients(loss, Object.values(inputs))] };
}

function weighted(value: Value): Value {
  const factors = Array.from({ length: elementCount(value.shape) }, (_, at) => Math.fround(Math.cos(at)));
  return sum(mul(value, constant(HostTensor.from(factors, value.shape, "f32"))));
}

const CASES: readonly (readonly [Cell, batch: number, time: number, hidden: number, variant: string])[] = [
  ["lstm", 17, 3, 19, "uniform"],
  ["lstm", 17, 3, 19, "storage"],
  // Two blocks of rows.
  ["tanh", 130, 1, 128, "uniform"],
  // Two blocks of k, and sums that take two dispatches on the way back.
  ["gru", 5, 3, 132, "uniform"],
  ["gru", 5, 3, 132, "storage"],
  // Three of them, and two forward.
  ["tanh", 3, 2, 260, "uniform"],
  ["relu", 1, 4, 1, "storage"],
];

describe("LA-06 kernels of recurrent layers", () => {
  for (const [cell, batch, time, hidden, variant] of CASES) {
    gpuTest(
      `LA-06 ${cell} of ${batch}x${time}x${hidden}, variant ${variant}, twice the same bits`,
      async (gpu) => {
        const { values, elements } = layerOf(cell, batch, time, hidden);
        const variants = new Map([["recurrent", variant]]);
        const found = await runValues(gpu, values, elements, variants);
        const expected = interpret(values, { inputs: elements });
        found.forEach((tensor, index) => {
          const wanted = expected[index] ?? [];
          const largest = Math.max(...Array.from(wanted, Math.abs));
          expectNear(tensor.toArray(), wanted, 1e-5 * Math.max(largest, 1));
        });
        const again = await runValues(gpu, values, elements, variants);
        const isSame = again.map(({ bytes }, index) =>
          bytes.every((byte, at) => byte === found[index]?.bytes[at])
        );
        expect(isSame).toEqual(values.map(() => true));
      },
    );
  }

  gpuTest("LA-06 NaN stays in its row and spreads over its units", async (gpu) => {
    const { states, elements } = layerOf("lstm", 3, 2, 4);
    const x = elements.x?.with(0, NaN) ?? [];
    const [found] = await runValues(gpu, [states], { ...elements, x });
    const isNaNAt = Array.from(found?.toArray() as Float32Array, (value) => Number.isNaN(value));
    // The first step has it in one unit of one row, the second in all units of the row.
    expect(isNaNAt.slice(0, 8)).toEqual([true, false, false, false, true, true, true, true]);
    expect(isNaNAt.slice(8)).toEqual(Array(16).fill(false));
  });

  gpuTest("LA-06 all steps run one pipeline, each in one dispatch each way", async (gpu) => {
    const statsOf = async (time: number) => {
      const { values } = layerOf("lstm", 4, time, 8);
      const outputs = Object.fromEntries(values.map((value, index) => [`${index}`, value]));
      const executable = await Executable.compile(gpu, {
        inputs: inputsOf(values),
        outputs,
        parameters: noParameters,
      });
      executable.close();
      return executable.stats;
    };
    const [short, long] = [await statsOf(5), await statsOf(25)];
    expect(long.pipelines).toBe(short.pipelines);
    // The gradient of all states and that of the last cells are a way back each.
    expect(long.dispatches - short.dispatches).toBe(3 * 20);
  });

  test("LA-06 operands that do not fit are refused with both shapes", () => {
    const [x, weights, bias] = [
      input("x", "f32", [2, 3, 20]),
      input("w", "f32", [20, 5]),
      input("b", "f32", [20]),
    ];
    const state = input("h", "f32", [2, 5]);
    const given = { x, weights, bias, state, cells: state };
    expect(recurrent("lstm", given).shape).toEqual([2, 3, 5]);
    expect(() => recurrent("lstm", { ...given, weights: input("w", "f32", [20, 4]) })).toThrow(
      "recurrent lstm: takes weights of shape [20, 5], found [20, 4]",
    );
    expect(() => recurrent("gru", { ...given, cells: undefined })).toThrow(
      "recurrent gru: takes x of shape",
    );
    expect(() => recurrent("lstm", { ...given, cells: undefined })).toThrow("an lstm is given cells");
    expect(() => recurrent("lstm", { ...given, x: input("x", "f32", [2, 0, 20]) })).toThrow(
      "takes a sequence of at least one step",
    );
    expect(() => recurrent("lstm", { ...given, state: input("h", "i32", [2, 5]) })).toThrow(
      "recurrent lstm: takes f32, not i32",
    );
    expect(() => recurrent("elman" as "tanh", given)).toThrow(
      "recurrent: a cell is one of lstm, gru, tanh, relu, found elman",
    );
    expect(() => recurrentLastCells(x)).toThrow("takes the states of an lstm, found a result of input");
  });
});
